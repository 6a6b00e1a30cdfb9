"""Train the model of sprites that ships as `pokemon`: EDM preconditioning over half of the colour, told
augmentation.

    python tools/train_pokemon.py [--path ARCHIVE] [--minutes 60] [--labels hue body] [--out outputs/pokemon]

ARCHIVE is what `npm pack pokesprite-images@2.7.0` writes; left out, the sprites come from the cache or the
network (see `pokemon`). `--creatures N` trains on N drawn creatures instead, which needs neither. Trained are
the species that are not held out, regular and shiny, at most `--most` sprites of each (6): of 2,366, 148 are
the creams and sweets of one species, which a model knows by heart before all else. A share of them,
`--augment` (a tenth), is mirrored, a share shifted by up to two pixels, a share turned in hue, and the
network is told all of it. The labels are those of `pokemon`, several together if wanted, or `none`; classes
are then all combinations.

The model works on brightness in full and colour at half the size, or with `--pixels` on pixels folded 2×2.
`--start FILE` begins with the weights of an earlier model; those of one in pixels are translated in the first
and last layer, and a class of a coarser label lends its vector to all finer ones that are made of it. Then
start with a learning rate that is lower.

The optimiser is Muon, or Adam with `--opt adam`, whose gradients are clipped to norm 1: without, at a
learning rate of 0.002, the training blew up after 900 steps. Should a round still end with a loss above 5,
the script stops, and the checkpoint before it is the last.

Kill it at any moment and start it again: it goes on from the last finished round of 250 steps. `--minutes`
are minutes of training by the clock, whatever else the machine does meanwhile. It trains on
`default_device()`; on a CPU, OMP_NUM_THREADS=1 leaves a core for other work. With `--bf16` the network
computes in bfloat16, which pays where the processor has it (`lscpu | grep bf16`). Several processes share a
step, each with --batch images of its own: `OMP_NUM_THREADS=1 torchrun --nproc-per-node 2
tools/train_pokemon.py --batch 32 …`. On two cores that trains faster than one process with two threads
(RECIPES.md).

OUT is a run (checkpoints, history.csv), and holds besides log.csv (a line a round), model.safetensors (the
averaged weights in half precision, what `load` opens, written every --save rounds and at the end), and
samples.png with it. `--ship` copies the weights into the package, and log.csv to
benchmarks/results/pokemon_log.csv.
"""
import argparse
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import torch
from ddpm_edu import Augmented, KarrasDiffusion, UNet, creatures, fit, load, muon, pokemon
from ddpm_edu import save_image, set_seed
from ddpm_edu.core import write_file
from ddpm_edu.data import flips, hues, shifts
from ddpm_edu.networks import PreActBlock
from ddpm_edu.models import PRETRAINED, Sampling
from ddpm_edu.training import Run, TrainState, adam, clipped, ema_decay, main_process, processes, trapezoid
from ddpm_edu.training import validation_loss
from ddpm_edu.sprites import HalfColourDiffusion, Sprites, from_half_colour, to_half_colour
from torch.nn import functional as F

ROUND = 250 # steps
# How the model is sampled; guidance comes on top (RECIPES.md).
SAMPLING = Sampling("dpmpp_2m_sde", 50, dict(sigma_min=.1, sigma_max=40., rho=4.), dict(eta=1.))
COLOURS = 8 # in a finished sample, beside white and black
COLOUR_GUIDANCE = .3333 # of what guidance adds, this share goes to colours


def data_of(a:argparse.Namespace)->tuple[Sprites, Sprites]:
    "Training data, and what is held out to watch over it."
    if a.creatures:
        hue = "hue" if a.labels else None
        return tuple(creatures(n, seed, labels=hue)
                     for seed, n in enumerate((a.creatures, max(50, a.creatures // 8))))
    trained, held = (pokemon(a.path, labels=a.labels, split=part) for part in ("train", "test"))
    found = (np.flatnonzero(trained.species == name)
             for name in list(dict.fromkeys(trained.species.tolist()))[::a.every])
    return trained.subset(np.concatenate(
        [i[np.linspace(0, len(i) - 1, min(len(i), a.most)).round().astype(int)] for i in found])), held


def source(a:argparse.Namespace)->str:
    "The data in words, for the card."
    if a.creatures: return f"{a.creatures} drawn creatures"
    which = f"one in {a.every} of the " if a.every > 1 else ""
    return f"pokesprite 2.7.0, {which}species not held out, at most {a.most} of each"


def translated(pixels:KarrasDiffusion)->dict[str, torch.Tensor]:
    """The weights of a model over folded RGB pixels, for one over half of the colour: its first and last
    layers speak the other language."""
    unfold = lambda c: F.pixel_unshuffle(c, 2).flatten(1)
    to_rgb = unfold(from_half_colour(torch.eye(6)[:, :, None, None], fit=False)).T  # 12 of 6
    to_code = to_half_colour(F.pixel_shuffle(torch.eye(12)[:, :, None, None], 2)).flatten(1).T  # 6 of 12
    w = pixels.net.state_dict()
    w["chain.init.weight"] = torch.einsum("oihw,ij->ojhw", w["chain.init.weight"], to_rgb)
    w["chain.final.weight"] = torch.einsum("ji,iohw->johw", to_code, w["chain.final.weight"])
    w["chain.final.bias"] = to_code @ w["chain.final.bias"]
    return w


def begun(net:UNet, old:KarrasDiffusion)->dict[str, torch.Tensor]:
    "The weights of an earlier model for this network, which may have finer classes."
    w = (old.net.state_dict() if isinstance(old, HalfColourDiffusion)
         or net.in_channels == 3 else translated(old))
    if net.num_classes and "label.weight" in w:
        none, *rows = w["label.weight"]
        w["label.weight"] = torch.stack([none]
                                        + [r for r in rows for _ in range(net.num_classes // len(rows))])
    return w


def model_of(a:argparse.Namespace, data:Sprites, augment_dim:int)->KarrasDiffusion:
    "A fresh model for these data, or one that begins with what a model in pixels has learned."
    set_seed(a.seed)
    net = UNet(3 if a.pixels else 6, a.width, 100, a.multipliers,
               len(data.classes or ()), a.blocks, middle_attention=a.attention,
               combine_embeddings="sum", patch_size=2 if a.pixels else 1,
               block=PreActBlock, augment_dim=augment_dim, zero_final=True)
    if a.start: net.load_state_dict(begun(net, load(a.start, device="cpu")))
    kind, more = KarrasDiffusion, {}
    if not a.pixels:
        kind, more = HalfColourDiffusion, dict(colours=COLOURS,
                                               colour_guidance=COLOUR_GUIDANCE, threshold=None)
    spread = round(data[:][0].std().item(), 3) if a.pixels else .5
    return kind(net, data.shape, spread, .02, 80., density_options=dict(mean=a.mean, std=a.std),
                p_uncond=.1 if data.classes else 0.,
                sampling=SAMPLING, **more)


def optimiser(model:KarrasDiffusion, a:argparse.Namespace)->torch.optim.Optimizer:
    "Muon, or Adam with clipped gradients."
    return muon(model, a.lr, adam_lr=2e-3) if a.opt == "muon" else clipped(adam(model, a.lr), 1.)


def show(model:KarrasDiffusion, path:Path, labels:list[int]|None)->None:
    "64 uncurated samples, always from the same noise."
    save_image(model.sample(64, labels, batch_size=32, seed=0).cpu(), path, scale=2, ncol=8)


def ship(a:argparse.Namespace)->Path:
    """The weights in the package, with what the package says of sampling them, and the record of their
    training."""
    model = load(a.out / "model.safetensors")
    model.sampling, model.colours, model.threshold = SAMPLING, COLOURS, None
    model.config |= dict(colours=COLOURS, colour_guidance=COLOUR_GUIDANCE,
                         threshold=None, sampling=asdict(SAMPLING))
    shutil.copy(a.out / "log.csv", Path(__file__).parents[1] / "benchmarks/results/pokemon_log.csv")
    card = model.card | dict(data=source(a), labels=a.labels, scores="benchmarks/results/sprite_metric.csv")
    return model.save(PRETRAINED / "pokemon.safetensors", torch.float16, **card)


def rounds(states:Iterator[TrainState], trained:Sprites, held:Sprites,
           a:argparse.Namespace)->Iterator[TrainState]:
    "After each round a line of log.csv, and now and then the averaged weights and what they draw."
    losses, watched = [], dict(train=trained.subset(slice(0, None, 8)), held=held)
    labels = None if trained.y is None else [7 * i % len(trained.classes) for i in range(64)]
    for s in states:
        losses.append(s.loss); done = min(1., s.seconds / a.minutes / 60)
        if s.step % ROUND and done < 1: yield s; continue
        loss, losses = sum(losses) / len(losses), []
        if not loss < 5:
            raise SystemExit(f"the loss is {loss:g}: start again with a lower --lr, from the last checkpoint")
        seen = {f"loss_{k}": validation_loss(s.ema, part, n=len(part)) for k, part in watched.items()}
        row = dict(steps=s.step, images=s.images, seconds=s.seconds, done=done, loss=loss) | seen
        rows = s.kept.setdefault("rounds", [])
        rows.append({k: round(v, 5) for k, v in row.items()}); s.measured.update(seen)
        print(rows[-1], flush=True)
        text = "\n".join([",".join(row), *(",".join(str(r[k]) for k in row) for r in rows)]) + "\n"
        write_file(a.out / "log.csv", text.encode())
        if len(rows) % a.save == 0 or done >= 1:
            told = card(s, trained, seen["loss_held"], a)
            s.ema.save(a.out / "model.safetensors", dtype=torch.float16, **told)
            show(s.ema, a.out / "samples.png", labels)
        yield s


def card(s:TrainState, trained:Sprites, held_out_loss:float, a:argparse.Namespace)->dict:
    "What the file of weights says of itself."
    names = list(trained.classes or ())
    return dict(data=source(a), labels=a.labels, classes=names,
                class_counts=trained.y.bincount(minlength=len(names)).tolist() if names else [],
                images=s.images, steps=s.step, batch_size=processes() * a.batch, seconds=round(s.seconds),
                device=str(s.model.device), threads=processes() * torch.get_num_threads(),
                held_out_loss=round(held_out_loss, 5), command=a.command,
                augmentation=f"flips, shifts of 2 pixels, hue, {a.augment:g} of the images each; told")


def main(a:argparse.Namespace)->None:
    trained, held = data_of(a)
    data = Augmented(trained, flips(a.augment), shifts(2, p=a.augment), hues(a.augment))
    model = model_of(a, trained, data.augment_dim)
    set_seed(a.seed)
    fit(model, data, minutes=a.minutes, batch_size=processes() * a.batch, seed=1000 * a.seed,
        opt=optimiser(model, a), average=partial(ema_decay, max_decay=a.decay, power=.75),
        rate=partial(trapezoid, warmup=200, hold=a.hold), scale="bf16" if a.bf16 else None,
        stages=[partial(rounds, trained=trained, held=held, a=a)], run=Run(a.out, every=ROUND, keep=1))


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--path", type=Path, help="archive or folder of the sprites")
    p.add_argument("--creatures", type=int, default=0, help="train on so many drawn creatures instead")
    p.add_argument("--labels", nargs="+", choices=["hue", "body", "generation", "shiny", "none"],
                   default=["hue", "body"])
    p.add_argument("--most", type=int, default=6, help="sprites of one species")
    p.add_argument("--every", type=int, default=1, help="only every such species, to learn fewer better")
    p.add_argument("--minutes", type=float, default=60.)
    p.add_argument("--batch", type=int, default=64)
    p.add_argument("--opt", choices=["muon", "adam"], default="muon")
    p.add_argument("--lr", type=float, default=.012)
    p.add_argument("--hold", type=float, default=.25, help="part of the training at the full learning rate")
    p.add_argument("--decay", type=float, default=.999, help="of the averaged weights")
    p.add_argument("--mean", type=float, default=.1, help="of ln σ in training")
    p.add_argument("--std", type=float, default=1.4, help="of ln σ in training")
    p.add_argument("--width", type=int, default=32)
    p.add_argument("--multipliers", type=int, nargs="+", default=[1, 2, 3])
    p.add_argument("--blocks", type=int, default=2)
    p.add_argument("--attention", action="store_true", help="attention in the middle")
    p.add_argument("--pixels", action="store_true",
                   help="work on folded pixels instead of half of the colour")
    p.add_argument("--start", type=Path, help="weights of an earlier model to begin with")
    p.add_argument("--augment", type=float, default=.1,
                   help="how often an image is mirrored, shifted, turned in hue")
    p.add_argument("--bf16", action="store_true", help="compute the network in bfloat16")
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--save", type=int, default=20, help="rounds between two samples.png")
    p.add_argument("--out", type=Path, default=Path("outputs/pokemon"))
    p.add_argument("--ship", action="store_true", help="copy the weights into the package")
    a = p.parse_args()
    shown = {k: v for k, v in vars(a).items() if k not in ("path", "out", "ship") and v != p.get_default(k)}
    words = lambda v: " ".join(map(str, v)) if isinstance(v, list) else "" if v is True else str(v)
    a.command = " ".join(["python tools/train_pokemon.py",
                          *(f"--{k} {words(v)}".strip() for k, v in shown.items())])
    a.path, a.labels = a.path and a.path.expanduser(), [name for name in a.labels if name != "none"]
    main(a)
    if a.ship and main_process(): print(ship(a))
