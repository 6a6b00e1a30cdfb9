"""Presets beside each other: FLD of 10,000 samples with labels by lot, and how often a fresh network tells
them from real images.

    python benchmarks/presets.py FOLDER [--model digits_guided] [--ways own,fast] [--n 10000] [--seeds 0]

`own` is the model's own way of sampling, `distance` are eight calls (of `digits_guided`) whose levels were
chosen by FLD alone, and `real` are other real training images than those that the judge compares with
(protocol Told-v1, nbs/6_measuring/40_told_apart.ipynb). FOLDER holds the official files of MNIST, or of
Fashion-MNIST with `--model fashion`. A line for each is added to benchmarks/results/presets.csv; lines that
are there are not made anew, so it can be killed at any moment.
"""
import argparse
import csv
import time
from pathlib import Path

import torch
from ddpm_edu import digits, fashion, load
from ddpm_edu.measuring import fld_interval, tell_apart
from ddpm_edu.models import sampling_of
from guidance_sweep import of_file

# eight calls, chosen by FLD alone
DISTANCE = dict(sampler="dpmpp_2m_sde", n_steps=8, levels=dict(sigma_min=.328, sigma_max=21.9, rho=1.46),
                options=dict(eta=.956))
COLUMNS = ["model", "weights", "way", "calls", "n", "seed", "fld", "low", "high", "told",
           "seconds", "command"]


def line(a:argparse.Namespace, way:str, seed:int, data:torch.Tensor)->dict:
    "Draw, and measure; real images are drawn by lot."
    order, start = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)), time.perf_counter()
    real, calls = data[order[:a.n]], 0
    if way == "real":
        rest = order[a.n:][torch.randperm(len(order) - a.n, generator=torch.Generator().manual_seed(seed))]
        x = data[rest[:a.n]]
    else:
        model = load(a.model)
        model.card["presets"] = model.card.get("presets", {}) | {"distance": DISTANCE}
        preset = None if way == "own" else way
        calls = sampling_of(model, preset).n_steps
        x = model.sample(a.n, "any", seed=seed, batch_size=250, preset=preset)
    seconds = time.perf_counter() - start
    s, t = fld_interval(x, "fashion" if a.model == "fashion" else "test", resamples=100), tell_apart(x, real)
    command = f"python benchmarks/presets.py FOLDER --model {a.model} --ways {way} --n {a.n} --seeds {seed}"
    return dict(model=a.model, weights=of_file(a.model), way=way, calls=calls, n=a.n, seed=seed,
                fld=f"{s.value:.2f}", low=f"{s.low:.2f}", high=f"{s.high:.2f}", told=f"{t.accuracy:.4f}",
                seconds=f"{seconds:.0f}", command=command)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--model", choices=("digits_guided", "fashion"), default="digits_guided")
    p.add_argument("--ways", type=lambda s: s.split(","),
                   default=["real", "own", "balanced", "fast", "distance"])
    p.add_argument("--n", type=int, default=10_000)
    p.add_argument("--seeds", type=lambda s: [int(k) for k in s.split(",")], default=[0])
    p.add_argument("--table", type=Path, default=Path(__file__).parent / "results/presets.csv")
    a = p.parse_args()
    rows = list(csv.DictReader(a.table.open())) if a.table.exists() else []
    data = fashion(path=a.folder).x if a.model == "fashion" else digits(full=True, path=a.folder).x
    for seed in a.seeds:
        for way in a.ways:
            key = dict(model=a.model, way=way, n=str(a.n), seed=str(seed))
            if any(key.items() <= r.items() for r in rows): continue
            found = line(a, way, seed, data)
            # others may have written meanwhile
            rows = (list(csv.DictReader(a.table.open())) if a.table.exists() else []) + [found]
            print(found, flush=True)
            with a.table.open("w", newline="") as f:
                w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(rows)
