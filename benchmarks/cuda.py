"""Images per second on a device, in training and in sampling: digits, sprites and one large network, in
float32, TF32 and bf16. A CSV, in about three minutes with the seconds that are set.

    python benchmarks/cuda.py                       # on the first GPU; to benchmarks/results/cuda.csv
    python benchmarks/cuda.py --compile             # the networks through torch.compile as well
    python benchmarks/cuda.py --graph               # and with CUDA graphs, mode "reduce-overhead"
    python benchmarks/cuda.py --diffusers           # and a UNet2DModel of about the size of the large one
    python benchmarks/cuda.py --noise               # what seeded noise costs, which is drawn on the CPU
    python benchmarks/cuda.py --device cpu --seconds 1    # does it run?

What the flags add is not within the three minutes; compiling takes a minute or more for each network.
Training is `train` of this package, with Adam and without an average. Sampling is `sample` with ten steps of
DDIM, without guidance, its seeded noise included."""
import argparse
import csv
import sys
import time
from pathlib import Path

import torch

from ddpm_edu.core import SeededNoise, set_seed
from ddpm_edu.data import TensorData
from ddpm_edu.denoising import cosine_beta_schedule
from ddpm_edu.models import GaussianDiffusion, digits_model
from ddpm_edu.networks import UNet
from ddpm_edu.training import Scale, Scaling, products, train

PRECISIONS = {"float32": (None, False), "tf32": (None, True), "bf16": ("bf16", True)}
STEPS = 10 # of sampling
HEAD = ["network", "variant", "parameters", "precision", "what", "batch", "images_per_second",
        "peak_memory_mb"]


def gaussian(net, shape): return GaussianDiffusion(net, cosine_beta_schedule(1000), shape)


def large(): return UNet(3, 128, 1000, (1, 2, 2, 2), num_blocks_per_level=2, attention_levels=(1,))


def networks(on_cpu):
    "name → (a fresh model, samples a batch)"
    small = lambda n: max(2, n // 64) if on_cpu else n
    return {"digits": (digits_model, small(1024)),
            "sprites": (lambda: gaussian(UNet(3, 32, 1000, (1, 2, 4)), (3, 32, 32)), small(512)),
            "large": (lambda: gaussian(large(), (3, 32, 32)), small(256))}


def peer():
    "diffusers' network at about the size of the large one, with the same call."
    from diffusers import UNet2DModel

    class Answer(torch.nn.Module):
        def __init__(self):
            super().__init__()
            down = ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"]
            up = ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]
            self.net = UNet2DModel(sample_size=32, in_channels=3, out_channels=3, layers_per_block=2,
                                   block_out_channels=(128, 256, 256, 256), down_block_types=down,
                                   up_block_types=up)
        def forward(self, x, t): return self.net(x, t).sample
    return gaussian(Answer(), (3, 32, 32))


def data(shape, n, classes=10):
    g = torch.Generator().manual_seed(0)
    x = torch.randint(0, 256, (n, *shape), dtype=torch.uint8, generator=g)
    return TensorData(x, torch.arange(n) % classes)


def now(device):
    if device.type == "cuda": torch.cuda.synchronize(device)
    return time.perf_counter()


def rate(work, device, seconds):
    "How often a second a function can be called, after two calls that are not counted."
    for _ in range(2): work()
    begin, n = now(device), 0
    while now(device) - begin < seconds: work(); n += 1
    return n / (now(device) - begin)


def training(model, batch, precision, device, seconds):
    scaling = Scaling(Scale(precision), device) if precision else None
    states = train(model, data(model.data_shape, 4 * batch), batch_size=batch, scaling=scaling)
    return batch * rate(lambda: next(states), device, seconds)


def sampling(model, batch, precision, device, seconds):
    cast = lambda: torch.autocast(device.type, torch.bfloat16, enabled=precision is not None)
    model.eval()
    def work():
        with torch.no_grad(), cast():
            model.sample(batch, sampler="ddim", n_steps=STEPS, seed=0, batch_size=batch)
    return batch * rate(work, device, seconds)


def noise(device, seconds):
    "Images per second of one step's seeded noise, beside torch's own on the device."
    x = torch.empty(256, 3, 32, 32, device=device)
    seeded, own = SeededNoise(0, 256), lambda: torch.randn_like(x)
    return {"seeded": 256 * rate(lambda: seeded(x), device, seconds),
            "device": 256 * rate(own, device, seconds)}


def measured(name, variant, make, batch, device, seconds, mode):
    for precision, (half, tf32) in PRECISIONS.items():
        for what, run in (("training", training), ("sampling", sampling)):
            set_seed(0)
            model = make().to(device)
            n = sum(p.numel() for p in model.parameters())
            if mode: model.net = torch.compile(model.net, mode=mode)
            if device.type == "cuda": torch.cuda.reset_peak_memory_stats(device)
            with products(tf32): per_second = run(model, batch, half, device, seconds)
            peak = torch.cuda.max_memory_allocated(device) // 2**20 if device.type == "cuda" else ""
            yield [name, variant, n, precision, what, batch, round(per_second, 1), peak]


def rows(args):
    device = torch.device(args.device)
    makes = {k: v for k, v in networks(device.type == "cpu").items() if k in args.networks}
    modes = {"plain": None} | ({"compiled": "default"} if args.compile else {})
    modes |= {"graph": "reduce-overhead"} if args.graph else {}
    for variant, mode in modes.items():
        for name, (make, batch) in makes.items():
            yield from measured(name, variant, make, batch, device, args.seconds, mode)
    if args.diffusers:
        yield from measured("diffusers", "plain", peer, networks(device.type == "cpu")["large"][1], device,
                            args.seconds, None)
    if args.noise:
        for kind, per_second in noise(device, args.seconds).items():
            yield ["noise", kind, "", "float32", "a step's noise", 256, round(per_second, 1), ""]


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--device", default="cuda")
    p.add_argument("--seconds", type=float, default=6., help="for each measurement")
    p.add_argument("--networks", nargs="+", default=["digits", "sprites", "large"])
    p.add_argument("--out", type=Path, default=Path(__file__).parent/"results/cuda.csv")
    for flag in ("compile", "graph", "diffusers", "noise"): p.add_argument(f"--{flag}", action="store_true")
    args = p.parse_args()
    if args.device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("torch finds no CUDA device here: --device cpu --seconds 1 only tries whether it runs")
    if torch.device(args.device).type == "cpu": args.out = None
    table = [HEAD]
    writer = csv.writer(sys.stdout, lineterminator="\n"); writer.writerow(HEAD)
    for row in rows(args): table.append(row); writer.writerow(row); sys.stdout.flush()
    if args.out: args.out.write_text("".join(",".join(map(str, r)) + "\n" for r in table))


if __name__ == "__main__": main()
