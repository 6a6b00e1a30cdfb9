"""Train the model of sprites that ships as `pokemon`: EDM preconditioning, folded pixels, augmentation that the network is told of.

    python benchmarks/train_pokemon.py [--path ARCHIVE] [--steps 60000] [--labels generation|shiny] [--width 24] [--out outputs/pokemon]

ARCHIVE is what `npm pack pokesprite-images@2.7.0` writes; left out, the sprites come from the cache or the network (see `pokemon`).
`--creatures N` trains on N drawn creatures instead, which needs neither. Trained are the species that are not held out, regular and shiny;
each is mirrored half of the time, shifted by up to two pixels, and turned in hue half of the time, and the network is told all of it.

Gradients are clipped to norm 1: without, at a learning rate of 0.002, the training blew up after 900 steps. Should a round still end with
a loss above 5, it is not saved and the script stops.

Kill it at any moment and start it again: it goes on from the last finished round of 250 steps. With OMP_NUM_THREADS=1 it leaves a core for
other work. In OUT: state.pt (everything), log.csv (a line a round), model.safetensors (the averaged weights in half precision, what `load`
opens, written every --save rounds and at the end), and samples.png with it.
"""
import argparse
import csv
import itertools
import os
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from pathlib import Path

import torch
from ddpm_edu import KarrasDiffusion, UNet, set_seed
from ddpm_edu.augment import Augmented, flips, hues, shifts
from ddpm_edu.sprites import Sprites, creatures, pokemon
from ddpm_edu.train import adam, ema_decay, train, validation_loss
from ddpm_edu.viz import save_image

ROUND = 250 # steps


def data_of(a:argparse.Namespace)->tuple[Sprites, Sprites]:
    "Training data, and what is held out to watch over it."
    if a.creatures: return creatures(a.creatures, seed=0), creatures(max(50, a.creatures // 8), seed=1)
    return tuple(pokemon(a.path, labels=a.labels, split=part) for part in ("train", "test"))


def model_of(a:argparse.Namespace, data:Sprites, augment_dim:int)->KarrasDiffusion:
    "A fresh model for these data."
    set_seed(a.seed)
    net = UNet(3, a.width, channel_multipliers=a.multipliers, patch_size=a.patch, num_blocks_per_level=a.blocks,
               num_classes=len(data.classes or ()), augment_dim=augment_dim)
    spread = round(data[:][0].std().item(), 3)
    return KarrasDiffusion(net, data.shape, sigma_data=spread, p_uncond=.15 if data.classes else 0.)


def keep(path:Path, save:Callable[[Path], object])->None:
    "Write beside, then rename: the old file stays until the new one is complete."
    path.parent.mkdir(parents=True, exist_ok=True)
    save(tmp := path.with_name("." + path.name)); os.replace(tmp, path)


def speed(step:int, steps:int, warmup:int=200, hold:float=.4)->float:
    "Part of the full learning rate: up, flat, and down to zero at the end."
    return min(1., (step + 1) / warmup, max(0., 1 - step / steps) / (1 - hold))


def run_round(model:KarrasDiffusion, mean:KarrasDiffusion, opt:torch.optim.Optimizer, data:Augmented, a:argparse.Namespace, done:int)->dict:
    "Some steps, with averaged weights; a line for the log."
    pairs, total, n = ([p.detach() for p in mean.parameters()], [p.detach() for p in model.parameters()]), 0., min(ROUND, a.steps - done)
    def rate(step:int)->None:
        for group in opt.param_groups: group["lr"] = a.lr * speed(step, a.steps)
    rate(done)
    for s in itertools.islice(train(model, data, batch_size=a.batch, seed=1000 * (done // ROUND), opt=opt), n):
        torch._foreach_lerp_(*pairs, 1 - ema_decay(done + s.step, a.decay))
        total += s.loss / n; rate(done + s.step)
    return dict(steps=done + n, loss=round(total, 5), seconds=s.seconds, images=s.images)


def show(model:KarrasDiffusion, path:Path, labels:list[int]|None)->None:
    "64 uncurated samples, always from the same noise."
    x = model.sample(64, labels, seed=0, sampler="heun", n_steps=18)
    save_image(x, path, scale=2, ncol=8)


def main(a:argparse.Namespace)->None:
    trained, held = data_of(a)
    data = Augmented(trained, flips(), shifts(2), hues(p=a.hues))
    model = model_of(a, trained, data.augment_dim)
    mean, opt, rows, state = deepcopy(model).requires_grad_(False), adam(model, a.lr), [], a.out / "state.pt"
    opt.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.) and None)
    if state.exists():
        at = torch.load(state, weights_only=True)
        model.load_state_dict(at["model"]); mean.load_state_dict(at["mean"]); opt.load_state_dict(at["opt"]); torch.set_rng_state(at["rng"])
        rows = at["rows"]
    print(f"{data}\n{sum(p.numel() for p in model.parameters()):,} parameters, {len(rows) * ROUND} of {a.steps} steps done", flush=True)
    labels = None if trained.y is None else [i % len(trained.classes) for i in range(64)]
    while (done := rows[-1]["steps"] if rows else 0) < a.steps:
        row = run_round(model, mean, opt, data, a, done)
        if not row["loss"] < 5: raise SystemExit(f"the loss is {row['loss']:g}: start again with a lower --lr, from the last good round")
        row["seconds"] = round(row["seconds"] + (rows[-1]["seconds"] if rows else 0.), 1)
        watched = dict(train=trained.subset(slice(0, None, 8)), held=held)
        row |= {f"loss_{k}": round(validation_loss(mean, part, n=len(part)), 5) for k, part in watched.items()}
        rows.append(row); print(row, flush=True)
        weights = dict(model=model.state_dict(), mean=mean.state_dict(), opt=opt.state_dict())
        keep(state, partial(torch.save, weights | dict(rng=torch.get_rng_state(), rows=rows)))
        with (a.out / "log.csv").open("w", newline="") as f:
            w = csv.DictWriter(f, list(row), lineterminator="\n"); w.writeheader(); w.writerows(rows)
        if len(rows) % a.save and row["steps"] < a.steps: continue
        card = dict(data="creatures" if a.creatures else "pokesprite 2.7.0, species not held out, regular and shiny", images=len(trained),
                    steps=row["steps"], batch_size=a.batch, seconds=round(row["seconds"]), held_out_loss=row["loss_held"],
                    augmentation="flips, shifts of 2 pixels, hue; told", command=a.command)
        mean.save(a.out / "model.safetensors", dtype=torch.float16, **card); show(mean, a.out / "samples.png", labels)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--path", type=Path, help="archive or folder of the sprites")
    p.add_argument("--creatures", type=int, default=0, help="train on so many drawn creatures instead")
    p.add_argument("--labels", choices=["generation", "shiny"])
    p.add_argument("--steps", type=int, default=60_000)
    p.add_argument("--batch", type=int, default=32)
    p.add_argument("--lr", type=float, default=1e-3)
    p.add_argument("--decay", type=float, default=.9995, help="of the averaged weights")
    p.add_argument("--width", type=int, default=24)
    p.add_argument("--multipliers", type=int, nargs="+", default=[1, 2, 4])
    p.add_argument("--blocks", type=int, default=1)
    p.add_argument("--patch", type=int, default=2)
    p.add_argument("--hues", type=float, default=.5, help="how often the hue is turned")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save", type=int, default=20, help="rounds between two samples.png")
    p.add_argument("--out", type=Path, default=Path("outputs/pokemon"))
    a = p.parse_args()
    shown = {k: v for k, v in vars(a).items() if k not in ("path", "out") and v != p.get_default(k)}
    words = lambda v: " ".join(map(str, v)) if isinstance(v, list) else v
    a.command = " ".join(["python benchmarks/train_pokemon.py", *(f"--{k} {words(v)}" for k, v in shown.items())])
    a.path = a.path and a.path.expanduser()
    main(a)
