"""Every sampler on one model of digits: the distance FLD against the calls of the network.

    python benchmarks/samplers_on_digits.py [FOLDER] [--minutes 10] [--n 2000] [--finalists dpmpp_2m,…] [--out
        outputs/samplers]
    python benchmarks/samplers_on_digits.py --model digits --sigma-min .1 --sigma-max 40 --rho 3 --table TABLE

With `--model` it takes weights that ship (our TABLE is benchmarks/results/samplers_shipped.csv), or a file. A
name such as `ddpm` in `--samplers` may carry options of the sampler: `dpmpp_2m_sde:eta=1`. Otherwise it
trains a small EDM-preconditioned model for some minutes (on all of MNIST if FOLDER holds its official files,
else on the 10,000 digits that ship) and keeps it in OUT/model.safetensors. It scores every sampler of
`SAMPLERS` at 5, 10, 15, 20, 50 and 100 calls with `--n` samples (the finalists with 10,000), and tells
precision and recall beside 2,000 test digits. A line is added to the table benchmarks/results/samplers.csv as
soon as it is known, and lines that are there are not made anew, so that it can be killed at any moment.
Levels: Karras, between `--sigma-min` and `--sigma-max`; `--start mean` puts the mean digit below the first
noise. A model that says which sampler is best for it gives that one its own options.
"""
import argparse
import csv
import time
from pathlib import Path

import torch
from ddpm_edu import SAMPLERS, KarrasDiffusion, UNet, digits, fit, fld, load, set_seed
from ddpm_edu.core import SeededNoise
from ddpm_edu.denoising import karras_sigmas
from ddpm_edu.measuring import fld_interval, manifold_scores

CALLS = (5, 10, 15, 20, 50, 100)
# two calls a step, one in the last
TWICE = {"heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde"}
COLUMNS = ["sampler", "calls", "asked", "start", "sigma_min",
           "sigma_max", "rho", "n", "seed", "fld", "low", "high", "precision",
           "recall", "seconds"]


def trained(path:Path, folder:str|None, minutes:float):
    "The model, from the file or from a training."
    if path.exists(): return load(path)
    set_seed(0)
    model = KarrasDiffusion(UNet(1, 24, 100, (1, 2), patch_size=2),
                            (1, 28, 28), sigma_data=.6, density_options=dict(mean=-.4, std=1.2))
    h = fit(model, digits(full=bool(folder), path=folder), minutes=minutes, batch_size=64, lr=2e-3)
    path.parent.mkdir(parents=True, exist_ok=True)
    how = f"python benchmarks/samplers_on_digits.py FOLDER --minutes {minutes:g}"
    model.save(path, seconds=round(h["seconds"]), images=h["images"], command=how)
    print(f"trained on {h['images']:,} images in {h['seconds']:.0f} s", flush=True)
    return model


def images(model, name:str, calls:int, ends:tuple[float, float, float],
           centre:torch.Tensor|float, n:int, seed:int, batch:int=500):
    "Samples, and how many calls they took; they start from noise around `centre`."
    name, *options = name.split(":")
    options = {k: float(v) for k, _, v in (o.partition("=") for o in options)}
    steps = (calls + 1) // 2 if name in TWICE else calls
    out, nfe = [], 0
    for start in range(0, n, batch):
        m = min(batch, n - start)
        # ends: lowest, highest, ρ
        z = SeededNoise(seed, m, start)(torch.empty(m, *model.data_shape)) + centre / ends[1]
        many = model.sample_iter(m, sampler=name, sigmas=karras_sigmas(steps, *ends),
                                 noise=z, seed=seed + 1, start=start, **options)
        for step in many: x, nfe = step.x, step.nfe
        out.append(x)
    return torch.cat(out).clamp(-1, 1), nfe


def main(a)->None:
    model, table = load(a.model) if a.model else trained(a.out / "model.safetensors",
                                                         a.folder, a.minutes), a.table
    real = digits(train=False)[:2000][0]
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    centre = digits()[:][0].mean(0) if a.start == "mean" else 0.
    jobs = [(s, c, a.n) for c in a.calls
            for s in (a.samplers or SAMPLERS)] + [(s, c, 10_000) for c in a.calls for s in a.finalists]
    for name, calls, n in jobs:
        key = dict(sampler=name, asked=str(calls), start=a.start,
                   sigma_min=f"{a.sigma_min:g}", sigma_max=f"{a.sigma_max:g}",
                   rho=f"{a.rho:g}", n=str(n), seed=str(a.seed))
        if any(key.items() <= r.items() for r in rows): continue
        start = time.perf_counter()
        x, nfe = images(model, name, calls, (a.sigma_min, a.sigma_max, a.rho), centre, n, a.seed)
        s = fld_interval(x, resamples=100)
        seconds, m = time.perf_counter() - start, manifold_scores(x[:2000], real)
        rows.append(key | dict(calls=str(nfe), fld=f"{fld(x):.2f}", low=f"{s.low:.2f}", high=f"{s.high:.2f}",
                               precision=f"{m.precision:.3f}",
                               recall=f"{m.recall:.3f}", seconds=f"{seconds:.0f}"))
        print(rows[-1], flush=True)
        with table.open("w", newline="") as f:
            w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(rows)


if __name__ == "__main__":
    def names(s:str)->list[str]: return [k for k in s.split(",") if k]
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("--model",
                   help="weights that ship, or a file, instead of a training; give it a `--table` of its own")
    p.add_argument("--minutes", type=float, default=10.)
    p.add_argument("--n", type=int, default=2000)
    p.add_argument("--start", choices=["zero", "mean"],
                   default="zero", help="centre of the first noise: nothing, or the mean digit")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--calls", type=lambda s: [int(c) for c in s.split(",")], default=CALLS)
    p.add_argument("--samplers", type=names, default=[])
    p.add_argument("--finalists", type=names, default=[])
    p.add_argument("--sigma-min", type=float, default=.02)
    p.add_argument("--sigma-max", type=float, default=10.)
    p.add_argument("--rho", type=float, default=7.)
    p.add_argument("--out", type=Path, default=Path("outputs/samplers"))
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "samplers.csv")
    main(p.parse_args())
