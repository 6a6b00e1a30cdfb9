"""The judge of sprites: train the reader that ships (ddpm_edu/pretrained/sprite_reader.safetensors), and score collections with it.

    python benchmarks/sprite_metric.py train [--path ARCHIVE] [--epochs 12]
    python benchmarks/sprite_metric.py score [--path ARCHIVE] [FILE ...]

The protocol is Sprites-v1 of chapter 53: the reference is all sprites of the held-out species; a FILE is a model that `load` opens (1,000
samples with seed 0, 18 steps of Heun's sampler) or a .pt with a tensor of images. The rows that are always there: real sprites in training
(the floor), each of the faults, drawn creatures. Goes to benchmarks/results/sprite_metric.csv.
"""
import argparse
import csv
import platform
import time
from pathlib import Path

import torch
from ddpm_edu import load, set_seed
from ddpm_edu.augment import Augmented, flips, hues, shifts
from ddpm_edu.core import to_uint8
from ddpm_edu.reader import FAULTS, SpriteReader, spoil, sprite_score
from ddpm_edu.sprites import creatures, main_hue, pokemon
from ddpm_edu.train import adam, anneal, budget, train, until

HERE = Path(__file__).resolve().parent
OUT = HERE.parent/"ddpm_edu/pretrained/sprite_reader.safetensors"


def accuracy(net:SpriteReader, x:torch.Tensor, y:torch.Tensor)->dict[str, float]:
    "Right answers to the three questions, in sprites that it has not seen."
    fault = torch.arange(len(x)) % len(FAULTS)
    with torch.no_grad(): (a, _, _), (_, hue, generation) = net(spoil(x, fault, 1)), net(x)
    right = dict(fault=(a.argmax(1), fault), hue=(hue.argmax(1), main_hue(to_uint8(x))), generation=(generation.argmax(1), y))
    return {k: round((p == t).float().mean().item(), 3) for k, (p, t) in right.items()}


def fit(a:argparse.Namespace)->None:
    "The fixed recipe: Adam, 0.002 and falling, 64 sprites a step, mirrored, shifted and recoloured."
    data, held = (pokemon(a.path, labels="generation", split=part) for part in ("train", "test"))
    set_seed(0); net = SpriteReader()
    more = Augmented(data, flips(), shifts(2), hues(.5), told=False)
    opt, done, start = adam(net, 2e-3), budget(more, 64, epochs=a.epochs), time.process_time()
    for s in anneal(until(train(net, more, batch_size=64, opt=opt), done), opt, done):
        if s.step % 37 == 0: print(f"{s.step} steps, {time.process_time() - start:.0f} s, loss {s.loss:.3f}", flush=True)
    net.eval(); seconds = round(time.process_time() - start)
    card = dict(data=f"pokesprite 2.7.0, {len(data):,} sprites of species not held out",
                recipe=f"Adam 2e-3 to 0, batch 64, {a.epochs} epochs", held_out_accuracy=accuracy(net, *held[:]), seconds=seconds,
                command="OMP_NUM_THREADS=1 python benchmarks/sprite_metric.py train", torch=torch.__version__, machine=platform.machine())
    path = net.save(OUT, **card); print(card, f"{path.stat().st_size:,} bytes")


def score(a:argparse.Namespace)->None:
    "A line for each collection."
    train_x, held = (pokemon(a.path, split=part) for part in ("train", "test"))
    some = train_x.sample(1000, seed=0)[0]
    rows = {"training sprites": some, **{f"training sprites, {f}": spoil(some, f) for f in FAULTS[1:]}, "drawn creatures": creatures().x}
    drawn = lambda file: load(file).sample(1000, seed=0, sampler="heun", n_steps=18)
    for file in a.files: rows[file.stem] = torch.load(file, weights_only=True) if file.suffix == ".pt" else drawn(file)
    table = HERE/"results"/"sprite_metric.csv"; table.parent.mkdir(exist_ok=True)
    lines = []
    for name, x in rows.items():
        s = sprite_score(x, held.x)
        lines.append(dict(collection=name, images=len(x)) | {k: round(v, 4) for k, v in s._asdict().items()}); print(lines[-1], flush=True)
    with table.open("w", newline="") as f:
        w = csv.DictWriter(f, list(lines[0]), lineterminator="\n"); w.writeheader(); w.writerows(lines)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["train", "score"])
    p.add_argument("files", type=Path, nargs="*")
    p.add_argument("--path", type=Path)
    p.add_argument("--epochs", type=int, default=12)
    a = p.parse_args()
    {"train": fit, "score": score}[a.what](a)
