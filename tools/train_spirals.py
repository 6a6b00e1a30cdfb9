"""Train the model of spirals that ships with the package.

    python tools/train_spirals.py [--minutes 2] [--out ddpm_edu/pretrained/spirals.safetensors]

A KarrasDiffusion around a small network of points, on the spiral with fresh points in every batch. The score
in the card is the sliced Wasserstein distance between 10,000 samples (20 calls) and 10,000 new points of the
spiral, beside that of two such sets of new points, which differ by chance alone.
"""
import argparse
import math
from collections.abc import Iterator
from pathlib import Path

import torch
from ddpm_edu import fit, set_seed, spiral
from ddpm_edu.models import spiral_model
from torch import Tensor

HOW = dict(sampler="dpmpp_2m", n_steps=20)


def batches(size:int)->Iterator[Tensor]:
    "Points without end."
    seed = 0
    while True:
        yield from spiral(100 * size, seed=(seed := seed + 1)).x.split(size)


def sliced(a:Tensor, b:Tensor)->float:
    "Mean distance between the sorted shadows of two clouds of equally many points, over sixty directions."
    angle = torch.linspace(0, math.pi, 61)[:60]
    directions = torch.stack([angle.cos(), angle.sin()])
    return ((a @ directions).sort(0).values - (b @ directions).sort(0).values).abs().mean().item()


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--minutes", type=float, default=2.)
    p.add_argument("--out", type=Path,
                   default=Path(__file__).parents[1] / "ddpm_edu" / "pretrained" / "spirals.safetensors")
    a = p.parse_args()
    set_seed(0)
    model = spiral_model(sigma_data=float(spiral(10_000).x.std()))
    h = fit(model, batches(512), minutes=a.minutes, lr=5e-3, device="cpu")
    new = [spiral(10_000, seed=10**6 + i).x for i in range(3)]
    score, chance = sliced(model.sample(10_000, seed=0, batch_size=10_000, **HOW),
                           new[0]), sliced(new[1], new[2])
    file = model.save(a.out, torch.float16, data="spiral(), fresh points",
                      distance=round(score, 4), chance=round(chance, 4),
                      seconds=round(h["seconds"]), points=h["images"],
                      command=f"python tools/train_spirals.py --minutes {a.minutes:g}")
    print(f"{file}: {sum(p.numel() for p in model.parameters()):,} "
          f"parameters, {h['images']:,} points, {h['seconds']:.0f} s; "
          f"distance {score:.4f}, by chance {chance:.4f}")
