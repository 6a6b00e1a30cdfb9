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
learning rate of 0.002, the training blew up after 900 steps. Should a round still end with a loss above 5, it
is not saved and the script stops.

Kill it at any moment and start it again: it goes on from the last finished round of 250 steps. `--minutes`
are minutes of training by the clock, whatever else the machine does meanwhile. It trains on
`default_device()`; on a CPU, OMP_NUM_THREADS=1 leaves a core for other work. With `--bf16` the network
computes in bfloat16, which pays where the processor has it (`lscpu | grep bf16`). Several processes share a
step, each with --batch images of its own: `OMP_NUM_THREADS=1 torchrun --nproc-per-node 2
tools/train_pokemon.py --batch 32 …`. On two cores that trains faster than one process with two threads
(RECIPES.md).

In OUT: state.pt (everything), log.csv (a line a round), model.safetensors (the averaged weights in half
precision, what `load` opens, written every --save rounds and at the end), and samples.png with it. `--ship`
copies the weights into the package, and log.csv to benchmarks/results/pokemon_log.csv.
"""
import argparse
import csv
import itertools
import os
import shutil
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict
from datetime import timedelta
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from ddpm_edu import Augmented, KarrasDiffusion, UNet, creatures, default_device, load, muon, pokemon
from ddpm_edu import save_image, set_seed
from ddpm_edu.data import flips, hues, shifts
from ddpm_edu.networks import PreActBlock
from ddpm_edu.models import PRETRAINED, Sampling
from ddpm_edu.training import adam, ema_decay, train, validation_loss
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
    if a.opt == "muon": return muon(model, a.lr, adam_lr=2e-3)
    opt = adam(model, a.lr)
    opt.register_step_pre_hook(lambda *_: torch.nn.utils.clip_grad_norm_(model.parameters(), 1.) and None)
    return opt


def together(opt:torch.optim.Optimizer, model:torch.nn.Module)->None:
    "Have all processes step with the mean of their gradients."
    step = opt.step
    def averaged(*args:object, **options:object)->object:
        for p in model.parameters():
            if p.grad is not None: dist.all_reduce(p.grad); p.grad /= dist.get_world_size()
        return step(*args, **options)
    opt.step = averaged


def agreed(value:float)->float:
    "What the first process says."
    if not dist.is_initialized(): return value
    dist.broadcast(said := torch.tensor(value, dtype=torch.float64), 0)
    return said.item()


def keep(path:Path, save:Callable[[Path], object])->None:
    "Write beside, then rename: the old file stays until the new one is complete."
    path.parent.mkdir(parents=True, exist_ok=True)
    save(tmp := path.with_name("." + path.name)); os.replace(tmp, path)


def run_round(model:KarrasDiffusion, mean:KarrasDiffusion,
              opt:torch.optim.Optimizer, data:Augmented, a:argparse.Namespace, at:dict)->dict:
    """Some steps, with averaged weights and the learning rate of the moment: up, flat, and down to zero at
    the end. Where we are then."""
    pairs, losses = ([p.detach() for p in mean.parameters()], [p.detach() for p in model.parameters()]), []
    steps = train(model, data, batch_size=a.batch, seed=1000 * (at["steps"] // ROUND) + a.rank,
                  opt=opt, channels_last=not a.bf16)
    for s in itertools.islice(steps, ROUND):
        torch._foreach_lerp_(*pairs, 1 - ema_decay(at["steps"] + s.step, a.decay, .75))
        losses.append(s.loss); done = agreed((at["seconds"] + s.seconds) / a.minutes / 60)
        for g, lr in zip(opt.param_groups, a.rates):
            g["lr"] = lr * min(1., (at["steps"] + s.step) / 200, max(0., 1 - done) / (1 - a.hold))
        if done >= 1: break
    return dict(steps=at["steps"] + s.step, images=at["images"] + a.processes * s.images,
                seconds=at["seconds"] + s.seconds, done=done,
                loss=agreed(sum(losses) / len(losses)))


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


def main(a:argparse.Namespace)->None:
    trained, held = data_of(a)
    data = Augmented(trained, flips(a.augment), shifts(2, p=a.augment), hues(a.augment))
    model = model_of(a, trained, data.augment_dim).to(default_device())
    mean, opt, rows, state = (deepcopy(model).eval().requires_grad_(False),
                              optimiser(model, a), [], a.out / "state.pt")
    a.rates, at = [g["lr"] for g in opt.param_groups], dict(steps=0, images=0, seconds=0., done=0.)
    for g in opt.param_groups: g["lr"] /= 200
    if state.exists():
        old = torch.load(state, map_location="cpu", weights_only=True)
        model.load_state_dict(old["model"]); mean.load_state_dict(old["mean"])
        opt.load_state_dict(old["opt"])
        torch.set_rng_state(old["rng"]); rows, at = old["rows"], old["at"]
    if dist.is_initialized():  # each has noise of its own
        together(opt, model); set_seed(a.seed + 1000 * at["steps"] + a.rank)
    if not a.rank:
        print(f"{data}\n{sum(p.numel() for p in model.parameters()):,} "
              f"parameters, {at['images']:,} images seen", flush=True)
    labels = None if trained.y is None else [7 * i % len(trained.classes) for i in range(64)]
    while at["done"] < 1:
        # the weights change within
        with torch.autocast(model.device.type, torch.bfloat16, enabled=a.bf16, cache_enabled=False):
            at = run_round(model, mean, opt, data, a, at)
        if not at["loss"] < 5:
            raise SystemExit(f"the loss is {at['loss']:g}: start again with a lower --lr, "
                             f"from the last good round")
        if a.rank: continue
        rows.append({k: round(v, 5) for k, v in at.items()})
        watched = dict(train=trained.subset(slice(0, None, 8)), held=held)
        rows[-1] |= {f"loss_{k}": round(validation_loss(mean, part, n=len(part)), 5)
                     for k, part in watched.items()}
        print(rows[-1], flush=True)
        weights = dict(model=model.state_dict(), mean=mean.state_dict(), opt=opt.state_dict())
        keep(state, partial(torch.save, weights | dict(rng=torch.get_rng_state(), rows=rows, at=at)))
        with (a.out / "log.csv").open("w", newline="") as f:
            w = csv.DictWriter(f, list(rows[-1]), lineterminator="\n"); w.writeheader(); w.writerows(rows)
        if len(rows) % a.save and at["done"] < 1: continue
        names = list(trained.classes or ())
        counts = trained.y.bincount(minlength=len(names)).tolist() if names else []
        card = dict(data=source(a), labels=a.labels, classes=names,
                    class_counts=counts, images=at["images"], steps=at["steps"],
                    batch_size=a.processes * a.batch, seconds=round(at["seconds"]), device=str(model.device),
                    threads=a.processes * torch.get_num_threads(), held_out_loss=rows[-1]["loss_held"],
                    augmentation=f"flips, shifts of 2 pixels, hue, {a.augment:g} of the images each; told",
                    command=a.command)
        mean.save(a.out / "model.safetensors", dtype=torch.float16, **card)
        show(mean, a.out / "samples.png", labels)


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
    a.rank, a.processes = (int(os.environ.get(k, v)) for k, v in (("RANK", 0), ("WORLD_SIZE", 1)))
    if a.processes > 1: dist.init_process_group("gloo", timeout=timedelta(minutes=5))
    main(a)
    if a.processes > 1: dist.destroy_process_group()
    if a.ship and not a.rank: print(ship(a))
