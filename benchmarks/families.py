"""UNets of five systems with about 380,000 parameters each, trained for equal minutes of one core on the
10,000 digits that ship, and scored by FLD-v1.

    OMP_NUM_THREADS=1 python benchmarks/families.py [--only NAME …] [--minutes 1] [--n 2000]

NAME is one of `NETWORKS` below; `variance` is k-diffusion's network once more, with an answer that is an
isotropic normal distribution (one number more for each image, its variance), and `grown` is it again, trained
for a quarter of the time on 14×14 pixels and then grown. All are `KarrasDiffusion`s with the same noise,
optimiser and averaging. The minutes are those that the processor worked for the training, so that other work
on the machine does not count. For `MEASURED` the noise of the gradient is measured at `SHARES` of the time,
and that does not count either.

Weights go to OUT, a line for each network to benchmarks/results/families.csv, the gradient's noise to
families_noise.csv and twenty samples of each to families.png beside it. Networks that are on record are left
out, so that it can be killed and started again.
"""
import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path

import torch
from ddpm_edu import KarrasDiffusion, TensorData, UNet, digits, grid, load, save_image, set_seed
from ddpm_edu.core import to_uint8
from ddpm_edu.measuring import fld_interval
from ddpm_edu.models import SAMPLED
from ddpm_edu.networks import FlaxUNet, KDiffusionUNet, KigoLevel, KigoUNet, NoisyUNet, multiply_adds
from ddpm_edu.training import adam, anneal, ema, train, until, validation_loss
from ddpm_edu.training.noise_scale import gradient_noise
from torch import nn
from torch.nn import functional as F

T, LOW, HIGH = 1000, .02, 40.  # the noise levels of all of them
MEASURED, SHARES = ("k-diffusion", "variance"), (.02, .25, .5, .98)  # whose gradient's noise, and when


def kigo()->KigoUNet:
    "Kigo's network, told the ᾱ of the levels of `KarrasDiffusion`."
    levels = [KigoLevel(16, 1, dropout=0.), KigoLevel(40, 1, heads=2, head_channels=16, dropout=0.),
              KigoLevel(72, 1, heads=2, head_channels=16, dropout=0.)]
    alpha_bar = [1 / (1 + (LOW * (HIGH / LOW)**(t / (T - 1)))**2) for t in range(T)]
    return KigoUNet(1, levels, T, outer_channels=16, alphas_cumprod=alpha_bar)


def k_diffusion(**options:int)->KDiffusionUNet:
    "k-diffusion's network."
    return KDiffusionUNet(1, (24, 48, 64), (1, 1, 1), T, attention_levels=[2], mapping_dim=68,
                          sigma_min=LOW, sigma_max=HIGH, **options)


NETWORKS:dict[str, Callable[[], nn.Module]] = {
    "ours": lambda: UNet(1, 16, T, middle_attention=False),
    "Kigo": kigo,
    "Noisy": lambda: NoisyUNet(1, dict(levels=["BB", "BBA", "BBA"]), 18, T=T),
    "flax": lambda: FlaxUNet(1, 16, T, (1, 2, 2), num_heads=4, head_dim=20),
    "k-diffusion": k_diffusion,
    "variance": lambda: k_diffusion(learned_variance=True),
    "grown": lambda: k_diffusion(skip_stages=1)}


def around(net:nn.Module, side:int=28, learned_variance:bool=False)->KarrasDiffusion:
    "A model of the digits with a network."
    return KarrasDiffusion(net, (1, side, side), .6, LOW, HIGH, density_options=dict(mean=-.4, std=1.2),
                           learned_variance=learned_variance, sampling=SAMPLED["digits"])


def model_of(name:str)->KarrasDiffusion:
    "The model of a row of the table, with fresh weights."
    set_seed(0)
    return around(NETWORKS[name](), 14 if name == "grown" else 28, name == "variance")


def add(path:Path, rows:list[dict])->None:
    "Add lines to a table."
    old = list(csv.DictReader(path.open())) if path.exists() else []
    with path.open("w", newline="") as f:
        w = csv.DictWriter(f, list(rows[0]), lineterminator="\n"); w.writeheader(); w.writerows([*old, *rows])


def trained(model:KarrasDiffusion, data:TensorData, minutes:float,
            noise:dict[float, dict]|None=None)->tuple[KarrasDiffusion, int, float]:
    "The average of a training, the images that it saw and its seconds; `noise` is filled in at its shares."
    opt, paused, start, left = adam(model, 2e-3), 0., time.process_time(), sorted(noise or ())
    done = lambda s=None: (time.process_time() - start - paused) / (60 * minutes)
    for s in ema(anneal(until(train(model, data, batch_size=64, opt=opt), done), opt, done), .998):
        if not left or done() < left[0]: continue
        at, found = time.process_time(), gradient_noise(model, data, 10)
        noise[left.pop(0)] |= dict(steps=s.step, sq_norm=f"{found.sq_norm:.6g}", trace=f"{found.trace:.6g}",
                                   noise_scale=f"{found.scale:.5g}")
        paused += time.process_time() - at
    return s.ema, s.images, time.process_time() - start - paused


def grown(minutes:float, path:Path)->tuple[KarrasDiffusion, int, float]:
    "k-diffusion's network: a quarter of the time on 14×14, then its average, from its file, on 28×28."
    data, small = digits(), model_of("grown")
    pooled = TensorData(to_uint8(F.avg_pool2d(data[:len(data)][0], 2)))
    mean, before, seconds = trained(small, pooled, minutes / 4)
    mean.save(path)
    set_seed(0)
    net = load(path).net.set_skip_stages(0)
    mean, images, more = trained(around(net.requires_grad_()), data, minutes * 3 / 4)
    return mean, before + images, seconds + more


def fitted(name:str, minutes:float, noise:Path, weights:Path)->None:
    "Train the model of a row and save its averaged weights."
    measured = {share: dict(network=name, share=share) for share in SHARES if name in MEASURED}
    if name == "grown": mean, images, seconds = grown(minutes, weights.with_name("grown-14.safetensors"))
    else: mean, images, seconds = trained(model_of(name), digits(), minutes, measured)
    if measured: add(noise, list(measured.values()))
    mean.save(weights, torch.float16, images=images, seconds=round(seconds, 1),
              loss=round(validation_loss(mean, digits(train=False), 2000), 5))
    print(f"{name} is trained: {images:,} images", flush=True)


def scored(name:str, minutes:float, n:int, out:Path)->dict:
    "The line of a network whose weights are there: sampled and scored."
    model = load(out / f"{name}.safetensors").eval()
    record, at = model.card, time.process_time()
    work = sum(multiply_adds(model.net, torch.zeros(1, 1, 28, 28), torch.zeros(1)).values())
    x = model.sample(n, seed=0)
    speed, s = n / (time.process_time() - at), fld_interval(x)
    torch.save(to_uint8(x[:40]), out / f"{name}.pt")
    command = f"OMP_NUM_THREADS=1 python benchmarks/families.py --only {name} --minutes {minutes:g} --n {n}"
    return dict(network=name, parameters=sum(p.numel() for p in model.parameters()), multiply_adds=work,
                minutes=minutes, images=record["images"], loss=record["loss"],
                images_per_second=round(record["images"] / record["seconds"], 1),
                calls=20, n=n, seed=0, fld=round(s.value, 2), low=round(s.low, 2), high=round(s.high, 2),
                samples_per_second=round(speed, 1), command=command)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    p.add_argument("--minutes", type=float, default=1)
    p.add_argument("--n", type=int, default=2000)
    p.add_argument("--out", type=Path, default=Path("outputs/families"))
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "families.csv")
    a = p.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)
    for name in a.only:
        if not (weights := a.out / f"{name}.safetensors").exists():
            fitted(name, a.minutes, a.table.with_name(f"{a.table.stem}_noise.csv"), weights)
    for name in a.only:
        if a.table.exists() and any(r["network"] == name for r in csv.DictReader(a.table.open())): continue
        row = scored(name, a.minutes, a.n, a.out)
        add(a.table, [row]); print(row, flush=True)
    there = [path for name in NETWORKS if (path := a.out / f"{name}.pt").exists()]
    if there:  # a row of twenty samples for each
        rows = torch.cat([torch.load(path, weights_only=True)[:20] for path in there])
        save_image(grid(rows / 127.5 - 1, 20), a.table.with_suffix(".png"))
