"""Presets beside each other: FLD of 10,000 samples with labels by lot, and how often a fresh network tells
them from real images.

    python benchmarks/presets.py FOLDER [--model digits_guided] [--ways own,fast] [--n 10000] [--seeds 0]
    python benchmarks/presets.py --search 200      # numbers for `blur`, chosen by FLD alone

`own` is the model's own way of sampling, `blur` a solver of two calls (of `digits_guided`) that was tuned on
FLD alone, and `real` are other real training images than those that the judge compares with (protocol
Told-v1, nbs/6_measuring/40_told_apart.ipynb). FOLDER holds the official files of MNIST, or of
Fashion-MNIST with `--model fashion`. A line for each is added to benchmarks/results/presets.csv; lines that
are there are not made anew, so it can be killed at any moment.
"""
import argparse
import csv
import math
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from ddpm_edu import KarrasDiffusion, digits, fashion, fld, load
from ddpm_edu.core import Step
from ddpm_edu.measuring import fld_interval, tell_apart
from ddpm_edu.models import sampling_of
from guidance_sweep import of_file
from torch import Tensor

# the three numbers of `blur`, as `--search 200` found them
BLUR = dict(high=6.56, low=2.53, sharpen=1.9)
COLUMNS = ["model", "weights", "way", "calls", "n", "seed", "fld", "low", "high", "told",
           "seconds", "command"]


@torch.no_grad()
def blur(D:Callable, x:Tensor, sigmas:Tensor, sharpen:float,
         noise_sampler:Callable=torch.randn_like)->Iterator[Step]:
    "Two answers, at two levels, with fresh noise between; then past the second one, away from the first."
    high, low, _ = sigmas.tolist()
    yield Step(0, 2, high, x, None, 0)
    first = D(x, x.new_full((len(x),), high))
    x = first + low * noise_sampler(x)
    yield Step(1, 2, low, x, first, 1)
    second = D(x, x.new_full((len(x),), low))
    yield Step(2, 2, 0., (second + sharpen * (second - first)).clamp(-1, 1), second, 2)


def blurred(model:KarrasDiffusion, n:int, seed:int, high:float, low:float, sharpen:float)->Tensor:
    "Samples by `blur`."
    return model.sample(n, "any", seed=seed, batch_size=250, sampler=blur, sharpen=sharpen,
                        sigmas=torch.tensor([high, low, 0.]))


def search(trials:int, n:int=2000)->None:
    "Random steps from the best so far: whatever lowers FLD is kept. Prints each gain."
    model, best, numbers = load("digits_guided"), math.inf, dict(high=10., low=.5, sharpen=.2)
    rng = random.Random(0)
    for i in range(trials):
        width = .4 if i < trials // 2 else .1
        trial = {k: v * math.exp(rng.uniform(-width, width)) if i else v for k, v in numbers.items()}
        found = fld(blurred(model, n, 0, **trial))
        if found < best:
            best, numbers = found, trial
            print(i, f"FLD of {n}: {best:.2f}", {k: round(v, 3) for k, v in numbers.items()}, flush=True)


def line(a:argparse.Namespace, way:str, seed:int, data:torch.Tensor)->dict:
    "Draw, and measure; real images are drawn by lot."
    order, start = torch.randperm(len(data), generator=torch.Generator().manual_seed(0)), time.perf_counter()
    real, calls = data[order[:a.n]], 0
    if way == "real":
        rest = order[a.n:][torch.randperm(len(order) - a.n, generator=torch.Generator().manual_seed(seed))]
        x = data[rest[:a.n]]
    else:
        model, preset = load(a.model), None if way == "own" else way
        calls = 2 if way == "blur" else sampling_of(model, preset).n_steps
        x = (blurred(model, a.n, seed, **BLUR) if way == "blur" else
             model.sample(a.n, "any", seed=seed, batch_size=250, preset=preset))
    seconds = time.perf_counter() - start
    s, t = fld_interval(x, "fashion" if a.model == "fashion" else "test", resamples=100), tell_apart(x, real)
    command = f"python benchmarks/presets.py FOLDER --model {a.model} --ways {way} --n {a.n} --seeds {seed}"
    return dict(model=a.model, weights=of_file(a.model), way=way, calls=calls, n=a.n, seed=seed,
                fld=f"{s.value:.2f}", low=f"{s.low:.2f}", high=f"{s.high:.2f}", told=f"{t.accuracy:.4f}",
                seconds=f"{seconds:.0f}", command=command)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("--search", type=int, metavar="TRIALS", default=0)
    p.add_argument("--model", choices=("digits_guided", "fashion"), default="digits_guided")
    p.add_argument("--ways", type=lambda s: s.split(","),
                   default=["real", "own", "balanced", "fast", "blur"])
    p.add_argument("--n", type=int, default=10_000)
    p.add_argument("--seeds", type=lambda s: [int(k) for k in s.split(",")], default=[0])
    p.add_argument("--table", type=Path, default=Path(__file__).parent / "results/presets.csv")
    a = p.parse_args()
    if a.search: raise SystemExit(search(a.search))
    if a.folder is None: p.error("give the folder of the data")
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
