"""Are the digits that a model draws copies? Their distances to the nearest training digits, beside those of
real test digits.

    python benchmarks/memorisation.py FOLDER [--n 2000] [--models digits,digits_guided]

FOLDER holds the four official files of MNIST. For the test digits, for `digits` without guidance and for
`digits_guided` with it, the distance (pixel by pixel, Euclidean, images in [-1, 1]) of each of n images to
the nearest of the 60,000 training digits. The percentiles go to benchmarks/results/memorisation.csv, a line
for each source; lines that are there are not made anew.
"""
import argparse
import csv
from pathlib import Path

import torch
from ddpm_edu import digits, load, set_seed
from ddpm_edu.measuring import nearest

PERCENTILES = range(101)
HOW = dict(sampler="dpmpp_2m_sde", n_steps=20)


def images(source:str, n:int, scale:float, folder:str)->torch.Tensor:
    "Images of a source: test digits, or samples of a model."
    if source == "test digits": return digits(train=False, full=True, path=folder)[:n][0]
    model = load(source)
    guided = dict(labels=torch.arange(n) % 10, guidance_scale=scale) if model.net.num_classes else {}
    return model.sample(n, seed=0, batch_size=500, **guided, **HOW)


def main(a:argparse.Namespace)->None:
    set_seed(0)
    rows, train = (list(csv.DictReader(a.table.open())) if a.table.exists() else [],
                   digits(full=True, path=a.folder)[:][0])
    for source in ["test digits", *a.models]:
        key = dict(source=source, n=str(a.n), scale=f"{a.scale:g}" if source == "digits_guided" else "")
        if any(key.items() <= r.items() for r in rows): continue
        d = nearest(images(source, a.n, a.scale, a.folder), train).distance
        q = torch.quantile(d, torch.tensor(PERCENTILES) / 100)
        rows.append(key | {f"p{p}": f"{v:.3f}" for p, v in zip(PERCENTILES, q.tolist())})
        print(key, f"1st percentile {q[1]:.2f}, median {q[50]:.2f}", flush=True)
        with a.table.open("w", newline="") as f:
            w = csv.DictWriter(f, list(rows[-1]), lineterminator="\n"); w.writeheader(); w.writerows(rows)
    real = next(r for r in rows if r["source"] == "test digits" and r["n"] == str(a.n))
    for r in rows:
        ratio = float(r["p50"]) / float(real["p50"])
        below = max((p for p in PERCENTILES if float(r[f"p{p}"]) < float(real["p1"])), default=0)
        print(f"{r['source']:14} median {ratio:.1%} of that of test "
              f"digits; up to {below} % nearer than their 1st percentile")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--n", type=int, default=2000)
    p.add_argument("--models", type=lambda s: s.split(","), default=["digits", "digits_guided"])
    p.add_argument("--scale", type=float, default=1.5, help="guidance scale of digits_guided")
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "memorisation.csv")
    main(p.parse_args())
