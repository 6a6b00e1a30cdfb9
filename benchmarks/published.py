"""The networks of the published trainings of five systems: parameters, memory, and the hours that a training
would take on one core of this machine. Nobody trained them here, but for the first.

    OMP_NUM_THREADS=1 python benchmarks/published.py [--gflops 80]

Parameters and work are counted by shapes, without weights. The memory is that of a training in float32 with
Adam and an average (weights, gradients, two moments, average: 20 bytes a parameter); features come on top.
The work of an image is that of its convolutions, three times for a step: forward, and twice as much on the
way back. The speed of a core is measured with a training step of one residual block of 128 channels, or
given; narrow networks are slower, so that the hours are a lower bound. Images are batch times steps where a
configuration says how many; the hours of a million images compare the others. Writes
benchmarks/results/published.csv.
"""
import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import torch
from ddpm_edu import UNet
from ddpm_edu.networks import FlaxUNet, KDiffusionUNet, KigoLevel, KigoUNet, NoisyUNet, ResBlock
from ddpm_edu.networks import multiply_adds
from torch import nn


def kigo(outer:int, emb:int, blocks:list[int], channels:list[int], heads:list[int],
         head_channels:int)->KigoUNet:
    "Kigo's network from lists over its levels."
    levels = [KigoLevel(c, b, heads=h, head_channels=head_channels if h else 0)
              for c, b, h in zip(channels, blocks, heads)]
    return KigoUNet(3, levels, outer_channels=outer, sinusoid_dim=emb, emb_dim=emb)


KD = dict(augment_dim=9)
CARS = KD | dict(channels=(128, 256, 512, 512), depths=(2, 2, 4, 4), attention_levels=[2, 3])
SIMPLER = KD | dict(channels=(128, 128, 256, 256, 256), depths=(4,) * 5, attention_levels=[3, 4])
# system, configuration, side of the images, images that its training takes if it says so, network
PUBLISHED:list[tuple[str, str, int, int|None, Callable[[], nn.Module]]] = [
    ("DenoisingDiffusion.jl", "digits", 28, 15 * 60_000, lambda: UNet(1, 16, 100, middle_attention=False)),
    ("DenoisingDiffusion.jl", "Pokémon", 48, None, lambda: UNet(3, 16, 100, (1, 2, 3))),
    ("Kigo", "dev", 32, None, lambda: kigo(32, 32, [2, 2, 2], [64, 128, 256], [0, 0, 2], 32)),
    ("Kigo", "syn-64x64-200M", 64, None,
     lambda: kigo(192, 128, [3, 3, 4, 4], [192, 384, 576, 768], [0, 0, 4, 4], 128)),
    ("Noisy", "Lara", 128, None, lambda: NoisyUNet(3, "Lara")),
    ("Noisy", "Maria", 128, None, lambda: NoisyUNet(3, "Maria")),
    ("Noisy", "Alia", 128, None, lambda: NoisyUNet(3, "Alia")),
    ("flax", "fashion_mnist", 28, 1024 * 12_000, lambda: FlaxUNet(1)),
    ("flax", "cifar10", 32, 1024 * 700_000, lambda: FlaxUNet(6, out_channels=3)),
    ("flax", "oxford102", 128, 64 * 700_000, lambda: FlaxUNet(3, channel_multipliers=(1, 2, 4, 8))),
    ("k-diffusion", "mnist", 28, None,
     lambda: KDiffusionUNet(1, (128, 128, 256), attention_levels=[2], **KD)),
    ("k-diffusion", "cifar10, 32x32_small", 32, None,
     lambda: KDiffusionUNet(3, attention_levels=[1, 2], **KD)),
    ("k-diffusion", "64_cars", 64, None, lambda: KDiffusionUNet(3, **CARS, learned_variance=True)),
    ("k-diffusion", "64_cars_simpler", 64, None, lambda: KDiffusionUNet(3, **SIMPLER, skip_stages=1)),
    ("k-diffusion", "64_cars_simpler_grow", 128, None, lambda: KDiffusionUNet(3, **SIMPLER))]


def core_speed()->float:
    "GFLOP/s in a training step of a residual block, on what torch may use; the best of ten."
    block = ResBlock(128, 128, emb_dim=128).to(memory_format=torch.channels_last)
    x = torch.randn(16, 128, 16, 16).to(memory_format=torch.channels_last).requires_grad_()
    emb = torch.randn(16, 128)
    work, took = sum(multiply_adds(block, x, emb).values()), []
    for _ in range(10):
        at = time.process_time(); block(x, emb).sum().backward(); took.append(time.process_time() - at)
    return 3 * 2 * work / min(took) / 1e9


def line(system:str, name:str, side:int, images:int|None, make:Callable[[], nn.Module], gflops:float)->dict:
    "A line of the table."
    with torch.device("meta"):
        net = make().eval()
        work = sum(multiply_adds(net, torch.empty(1, net.in_channels, side, side), torch.empty(1)).values())
    params = sum(p.numel() for p in net.parameters())
    seconds = 3 * 2 * work / (gflops * 1e9)  # of one image
    return dict(system=system, network=name, side=side, parameters=params,
                memory_gb=f"{20 * params / 1e9:.3g}", multiply_adds=work,
                hours_per_million=f"{seconds / 3600 * 1e6:.3g}", images=images or "",
                hours=f"{seconds / 3600 * images:.3g}" if images else "",
                trained="benchmarks/baseline.py" if name == "digits" else "not trained",
                gflops=f"{gflops:.0f}", command="OMP_NUM_THREADS=1 python benchmarks/published.py")


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--gflops", type=float)
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "published.csv")
    a = p.parse_args()
    gflops = a.gflops or core_speed()
    rows = [line(*row, gflops) for row in PUBLISHED]
    with a.table.open("w", newline="") as f:
        w = csv.DictWriter(f, list(rows[0]), lineterminator="\n"); w.writeheader(); w.writerows(rows)
    for r in rows: print(*list(r.values())[:-2])
    print(f"a core: {gflops:.0f} GFLOP/s")
