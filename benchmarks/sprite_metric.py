"""Score collections of sprites with the judge that ships.

    python benchmarks/sprite_metric.py score [MODEL ...] [--path ARCHIVE] [--scale 1] [--interval LOW HIGH]
        [--preset NAME] [--n 1000] [--seed 0]

The protocol is Sprites-v1: the reference is all sprites of the held-out species; a MODEL is the name of
weights that ship, or a file that `load` opens, and draws N samples in its own way of sampling or by a preset
of its card, asked (if it knows labels) for what sprites in training are. `copies` is the share of the first
500 images that `copied` calls copies of a training sprite, both colourings and all forms of a species being
one group; `asked`, the share whose main hue is the one that was asked for.

The rows that are always there: real sprites in training (the floor), each of the faults, drawn creatures, and
held-out sprites, for their copies only. Goes to benchmarks/results/sprite_metric.csv; lines that are there
are not made anew.
"""
import argparse
import csv
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from ddpm_edu import creatures, load, pokemon
from ddpm_edu.core import to_uint8
from ddpm_edu.measuring import copied
from ddpm_edu.sprites import CORRUPTIONS, SpriteScore, Sprites, corrupt, main_hue, sprite_score
from guidance_sweep import of_file

HERE = Path(__file__).resolve().parent


COLUMNS = ["collection", "weights", "scale", "preset", "seed",
           "images", *SpriteScore._fields, "copies", "asked", "command"]


def collections(a:argparse.Namespace, train_x:Sprites, held:Sprites)->Iterator[tuple[dict, Callable]]:
    """What tells each line from the others, and a function that makes the images, and the hues that were
    asked for or `None`."""
    some = train_x.sample(1000, seed=0)[0]
    yield dict(collection="training sprites"), lambda: (some, None)
    for f in CORRUPTIONS[1:]:
        yield dict(collection=f"training sprites, {f}"), lambda f=f: (corrupt(some, f), None)
    yield dict(collection="drawn creatures"), lambda: (creatures().x, None)
    yield dict(collection="held-out sprites"), lambda: (held.x, None)
    for name in a.models:
        def drawn(name:str=name)->tuple[torch.Tensor, torch.Tensor|None]:
            model = load(name)
            if not model.net.num_classes:
                return model.sample(a.n, batch_size=100, seed=a.seed, preset=a.preset), None
            real, y = pokemon(a.path, labels=model.card.get("labels", "hue"),
                              split="train").sample(a.n, seed=a.seed)
            return model.sample(a.n, y, a.scale, batch_size=100, seed=a.seed, preset=a.preset,
                                guidance_interval=a.interval), main_hue(to_uint8(real))
        scale = f"{a.scale:g}" + (" between {:g} and {:g}".format(*a.interval) if a.interval else "")
        yield dict(collection=Path(name).stem, weights=of_file(name),
                   scale=scale, preset=a.preset or "", seed=str(a.seed), images=str(a.n)), drawn


def score(a:argparse.Namespace)->None:
    "A line for each collection."
    train_x, held = (pokemon(a.path, labels="hue", split=part) for part in ("train", "test"))
    lines = list(csv.DictReader(a.table.open())) if a.table.exists() else []
    for key, make in collections(a, train_x, held):
        if any(key.items() <= r.items() for r in lines): continue
        x, hue = make()
        line = key | dict(images=len(x),
                          copies=f"{copied(x[:500], train_x, train_x.species).float().mean():.4f}")
        if key["collection"] != "held-out sprites":
            line |= {k: f"{v:.4f}" for k, v in sprite_score(x, held.x)._asdict().items()}
        if hue is not None: line["asked"] = f"{(main_hue(to_uint8(x)) == hue).float().mean():.4f}"
        line["command"] = "python benchmarks/sprite_metric.py score"
        if key.get("weights"):
            within = " --interval {:g} {:g}".format(*a.interval) if a.interval else ""
            if a.preset: within += f" --preset {a.preset}"
            line["command"] += f" {key['collection']} --scale {a.scale:g}{within} --n {a.n} --seed {a.seed}"
        lines.append(line); print({k: v for k, v in line.items() if k != "command"}, flush=True)
        with a.table.open("w", newline="") as f:
            w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(lines)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["score"])
    p.add_argument("models", nargs="*")
    p.add_argument("--path", type=Path)
    p.add_argument("--scale", type=float, default=1., help="guidance scale of a model with labels")
    p.add_argument("--interval", type=float, nargs=2,
                   metavar=("LOW", "HIGH"), help="guide between these noise levels only")
    p.add_argument("--preset", help="a way of sampling that the model's card has by this name")
    p.add_argument("--n", type=int, default=1000)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--table", type=Path, default=HERE/"results"/"sprite_metric.csv")
    a = p.parse_args()
    score(a)
