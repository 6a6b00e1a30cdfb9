"""How long data take: a folder of 2,600 small PNGs the first time and out of the cache, MNIST in full, an
epoch beside its training.

    .venv/bin/python benchmarks/data_loading.py

Drawn for the purpose: 2,600 creatures of 68×56 pixels on a transparent ground, the size of small sprites.
Wall time is the least of several runs, and the processor's time stands beside it, because a busy machine
stretches the one and hardly the other.
"""
import argparse
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from ddpm_edu import digits, fashion, fit, image_folder
from ddpm_edu.data import MNIST_FAMILY
from ddpm_edu.models import digits_model


def draw(folder, n):
    "Creatures of some colours with black outlines, in two folders."
    for i in range(n):
        g, im = np.random.default_rng(i), Image.new("RGBA", (68, 56))
        d = ImageDraw.Draw(im)
        for _ in range(12):
            x, y, w, h = (int(v) for v in g.integers((5, 5, 4, 4), (50, 40, 20, 15)))
            d.ellipse((x, y, x + w, y + h), tuple(int(v) for v in g.integers(0, 255, 3)), "black")
        path = folder / ("regular" if i % 2 else "shiny") / f"{i:04}.png"
        path.parent.mkdir(exist_ok=True); im.save(path)


def timed(f, repeats, before=lambda: None):
    "The least wall time of some runs, the least processor time, and the last result."
    wall, cpu = [], []
    for _ in range(repeats):
        before(); w, c = time.perf_counter(), time.process_time()
        result = f(); wall.append(time.perf_counter() - w); cpu.append(time.process_time() - c)
    return min(wall), min(cpu), result


def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


def main():
    args = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    args.add_argument("-n", type=int, default=2600, help="files to draw")
    args.add_argument("--repeats", type=int, default=3)
    args = args.parse_args()
    with tempfile.TemporaryDirectory() as tmp:
        images, cache = Path(tmp) / "images", Path(tmp) / "cache"; images.mkdir(); draw(images, args.n)
        kb = sum(p.stat().st_size for p in images.rglob("*.png")) / args.n / 1000
        start = peak()
        forget = lambda: [p.unlink() for p in cache.glob("*")]
        load = lambda: image_folder(images, 48, fit="box", labels=True, cache=cache)
        first = timed(load, args.repeats, forget); again = timed(load, args.repeats)
        x = again[2].x
        print(f"{args.n} PNGs of {kb:.1f} kB to {list(x.shape[1:])}: "
              f"first time {first[0]:.2f} s ({first[1]:.2f} s of processor), "
              f"from the cache {again[0]:.3f} s ({again[1]:.3f} s); {x.nbytes / 1e6:.0f} MB in memory, "
              f"peak + {peak() - start:.0f} MB")
    if MNIST_FAMILY["fashion"].packaged.is_dir():
        wall, cpu, data = timed(fashion, args.repeats)
        print(f"Fashion-MNIST, {len(data):,} images, checked and unpacked: "
              f"{wall:.2f} s ({cpu:.2f} s); {data.x.nbytes / 1e6:.0f} MB")
    data, model = digits(), digits_model()
    loading = timed(lambda: sum(len(x) for x, _ in data.batches(64, seed=0)), args.repeats)
    fit(model, data, steps=5, device="cpu")
    training = timed(lambda: fit(model, data, steps=40, batch_size=64, device="cpu"), args.repeats)
    epoch = [t / 40 * len(data) / 64 for t in training[:2]]
    print(f"an epoch of {len(data):,} digits: {loading[0] * 1000:.0f} "
          f"ms ({loading[1] * 1000:.0f} ms of processor) to hand out, "
          f"{epoch[0]:.0f} s ({epoch[1]:.0f} s) to train the small UNet on: "
          f"{loading[0] / epoch[0]:.2%} ({loading[1] / epoch[1]:.2%})")
    print(f"{torch.get_num_threads()} threads of torch, "
          f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__": main()
