"""Recipes for digits and clothes: train one, keep its weights, and score them by FLD-v1, or by the FLD of
clothes.

    python tools/recipes.py NAME [option=value …] [--folder FOLDER] [--minutes 15 | --images 120000] [--n
        10000] [--seeds 0,1,2]

NAME is a recipe of `RECIPES` below: a plain start, and each of the others a change or two away from it;
`option=value` changes more (the options are those of `START`). Trains on all of MNIST if FOLDER holds its
official files, else on the 10,000 digits that ship; with `data=fashion` on Fashion-MNIST, in FOLDER or
wherever `fashion()` finds it.

The averaged weights go to OUT/NAME.safetensors, in half precision, with a card; what is scored is that file.
A line for each score is added to benchmarks/results/recipes.csv, and twenty samples lie beside it as a
picture; lines that are there are not made anew. Kill it at any moment and start it again: it goes on from the
last checkpoint of its run, OUT/NAME. `--minutes` are minutes of training by the clock, whatever else the
machine does meanwhile, or with `--processor` as many steps as the processor makes in them when nothing else
wants it, by the first sixty; the number of images that were seen is in the card. With OMP_NUM_THREADS=1 it
leaves a core for other work. `--ship` copies the weights into the package, with their scores in the card.
"""
import argparse
import ast
import csv
import json
import shlex
import sys
import time
from copy import deepcopy
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
from ddpm_edu import GaussianDiffusion, KarrasDiffusion, TensorData, UNet, cosine_beta_schedule, digits
from ddpm_edu import fashion, fit, grid, load, muon, save_image, set_seed
from ddpm_edu.core import write_file
from ddpm_edu.models import PRETRAINED, SAMPLED, Sampling
from ddpm_edu.training import Run, adam, ema_decay, train, trapezoid
from ddpm_edu.measuring import fld_interval

START = dict(model="eps", channels=16, multipliers=[1, 2, 4],
             blocks=1, block="ResBlock", patch_size=1, attention=False, labels=False,
             zero_end=False, sigma_data=.6, mean=-.4,
             std=1.2, opt="adam", lr=1e-3, adam_lr=2e-3, batch=32, warmup=1, hold=1., ema=0.,
             seed=0, data="digits")
RECIPES = {"start": {}}  # the baseline's network and recipe, with a shorter training
RECIPES["decay"] = dict(lr=2e-3, batch=64, warmup=100, hold=.3, ema=.998)
RECIPES["folded"] = RECIPES["decay"] | dict(patch_size=2, channels=32, multipliers=[1, 1], blocks=2)
RECIPES["v"] = RECIPES["folded"] | dict(model="v")
RECIPES["edm"] = RECIPES["folded"] | dict(model="karras")
RECIPES["preact"] = RECIPES["edm"] | dict(block="PreActBlock", zero_end=True)
RECIPES["digits"] = RECIPES["preact"] | dict(opt="muon", lr=.016)  # the one that ships
RECIPES["digits_guided"] = RECIPES["digits"] | dict(labels=True)
# what clothes spread in [-1, 1]
RECIPES["fashion"] = RECIPES["digits_guided"] | dict(data="fashion", sigma_data=.71)
# Models of noise levels are sampled as `SAMPLED` of the library says, chosen with 1,000 samples of seed 0
# (see benchmarks/RECIPES.md);
# `--plain` is what one would take untuned.
PLAIN = Sampling("dpmpp_2m_sde", 20, dict(sigma_min=.02, sigma_max=10.))
COLUMNS = ["name", "options", "parameters", "images",
           "seconds", "sampling", "calls", "scale", "n", "seed", "fld", "low", "high", "command"]


def model_of(c:dict)->GaussianDiffusion|KarrasDiffusion:
    "The model of a recipe, with fresh weights."
    set_seed(c["seed"])
    net = UNet(1, c["channels"], 100, c["multipliers"],
               10 * c["labels"], c["blocks"], middle_attention=c["attention"],
               combine_embeddings="sum", patch_size=c["patch_size"],
               block=c["block"], zero_final=c["zero_end"])
    hidden = .1 * c["labels"]
    if c["model"] != "karras":
        return GaussianDiffusion(net, cosine_beta_schedule(100),
                                 (1, 28, 28), objective=c["model"], p_uncond=hidden)
    return KarrasDiffusion(net, (1, 28, 28), c["sigma_data"],
                           .02, 10., density_options=dict(mean=c["mean"], std=c["std"]), p_uncond=hidden,
                           sampling=tuned(c))


def tuned(c:dict)->Sampling:
    "The best way of sampling that was found for a recipe's data."
    return SAMPLED["fashion" if c["data"] == "fashion" else "digits_guided" if c["labels"] else "digits"]


def data_of(c:dict, a:argparse.Namespace)->tuple[TensorData, str]:
    "What a recipe learns from, and that in words."
    if c["data"] == "fashion": return fashion(path=a.folder), "Fashion-MNIST, 60,000 training images"
    told = "MNIST, 60,000 training digits" if a.folder else "the first 10,000 digits of MNIST"
    return digits(full=bool(a.folder), path=a.folder), told


def planned(model:GaussianDiffusion|KarrasDiffusion, data:TensorData, c:dict, a:argparse.Namespace)->int:
    "Steps of a training by the processor's minutes: measured once on a copy, and kept beside the run."
    kept = a.out / f"{a.name}.steps"
    if kept.exists(): return int(kept.read_text())
    states, took = train(deepcopy(model), data, batch_size=c["batch"]), []
    for _ in range(60):
        at = time.process_time(); next(states); took.append(time.process_time() - at)
    steps = round(60 * a.minutes / (sum(took[10:]) / 50))
    write_file(kept, str(steps).encode())
    return steps


def trained(name:str, c:dict, a:argparse.Namespace)->Path:
    "The weights of a recipe, from the file or from a training, which goes on where it was interrupted."
    final = a.out / f"{name}.safetensors"
    if final.exists(): return final
    a.out.mkdir(parents=True, exist_ok=True)
    model, (data, told) = model_of(c), data_of(c, a)
    opt = muon(model, c["lr"], c["adam_lr"]) if c["opt"] == "muon" else adam(model, c["lr"])
    print(f"{name}: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    budget = dict(minutes=a.minutes) if a.minutes else dict(steps=-(-a.images // c["batch"]))
    if a.minutes and a.processor: budget = dict(steps=planned(model, data, c, a))
    set_seed(c["seed"])
    log = fit(model, data, **budget, batch_size=c["batch"], opt=opt,
              average=partial(ema_decay, max_decay=c["ema"], power=.75) if c["ema"] else False,
              rate=partial(trapezoid, warmup=c["warmup"], hold=c["hold"]),
              run=Run(a.out / name, minutes=5, keep=1, start=a.go_on))
    return model.save(final, torch.float16, data=told,
                      recipe={k: v for k, v in c.items() if k != "data"}, images=log["images"],
                      seconds=round(log["seconds"]), threads=torch.get_num_threads(),
                      command=command(name, a))


def command(name:str, a:argparse.Namespace)->str:
    "What to type to make it again; FOLDER stands for wherever the data are."
    budget = f"--minutes {a.minutes:g}" if a.minutes else f"--images {a.images}"
    words = ["python", "tools/recipes.py", name, *a.options,
             *(["--folder", "FOLDER"] if a.folder else []), *budget.split(),
             *["--processor"] * a.processor]
    first = load(a.go_on).card["command"] + " && " if a.go_on else ""
    return first + shlex.join(words + (["--go-on", f"outputs/recipes/{a.go_on.name}"] if a.go_on else []))


def ready(path:Path, c:dict, a:argparse.Namespace)->tuple[GaussianDiffusion|KarrasDiffusion, str]:
    "The model of a file, with its way of sampling, and that in words."
    model = load(path)
    if isinstance(model, GaussianDiffusion): return model, "dpmpp_2m_sde"
    model.sampling = Sampling(**a.sampling) if a.sampling else PLAIN if a.plain else tuned(c)
    model.config["sampling"] = asdict(model.sampling)
    return model, json.dumps(model.config["sampling"])


def score(name:str, c:dict, path:Path, a:argparse.Namespace)->None:
    "A line for each seed, unless it is there."
    (model, how), rows = ready(path, c, a), list(csv.DictReader(a.table.open())) if a.table.exists() else []
    reference = "fashion" if c["data"] == "fashion" else "test"
    size, told = sum(p.numel() for p in model.net.parameters()), ",".join(f"{k}={v}"
        for k, v in c.items() if v != START[k])
    for seed in a.seeds:
        key = dict(name=name, options=told, images=str(model.card["images"]),
                   sampling=how, calls=str(a.calls), scale=f"{a.scale:g}",
                   n=str(a.n), seed=str(seed))
        if any(key.items() <= r.items() for r in rows): continue
        y = torch.arange(a.n) % 10 if c["labels"] else None
        x = model.sample(a.n, labels=y, guidance_scale=a.scale,
                         seed=seed, sampler="dpmpp_2m_sde", n_steps=a.calls, batch_size=500)
        save_image(grid(x[:20], 10), a.table.with_name(f"recipe-{name}{'-plain' * a.plain}.png"))
        s = fld_interval(x, reference, resamples=100)
        rows.append(key | dict(parameters=str(size), seconds=str(model.card["seconds"]),
                               fld=f"{s.value:.2f}", low=f"{s.low:.2f}",
                               high=f"{s.high:.2f}", command=model.card["command"]))
        print(rows[-1], flush=True)
        with a.table.open("w", newline="") as f:
            w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(rows)


def ship(name:str, c:dict, path:Path, a:argparse.Namespace)->Path:
    "The same weights in the package, with their way of sampling, and with the scores in the card."
    (model, how), rows = ready(path, c, a), list(csv.DictReader(a.table.open()))
    key = dict(name=name, images=str(model.card["images"]),
               n="10000", sampling=how, calls=str(a.calls), scale=f"{a.scale:g}")
    seen = {f"seed {r['seed']}": float(r["fld"]) for r in rows if key.items() <= r.items()}
    sampled = (f"{a.calls} calls" + f", guidance {a.scale:g}" * bool(model.net.num_classes)
               + ", 10,000 samples")
    told = {"FLD of clothes" if c["data"] == "fashion" else "FLD-v1": seen, "sampled": sampled}
    return model.save(PRETRAINED / f"{name.split('+')[0]}.safetensors", torch.float16, **model.card | told)


def changed(options:list[str], c:dict)->dict:
    "`option=value` words: Python's numbers and lists, true and false, and words as they are."
    for k, _, v in (o.partition("=") for o in options):
        if k not in START: sys.exit(f"there is no option {k!r}: choose from {', '.join(START)}")
        try: c = c | {k: ast.literal_eval(v.title() if v in ("true", "false") else v)}
        except (ValueError, SyntaxError): c = c | {k: v}
        kinds = (int, float) if type(START[k]) in (int, float) else type(START[k])
        if not isinstance(c[k], kinds): sys.exit(f"{k}={v} does not fit: at the start it is {START[k]!r}")
    return c


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("name", help=", ".join(RECIPES)
                   + "; or NAME+anything, for a change of NAME that is kept under a name of its own")
    p.add_argument("options", nargs="*")
    p.add_argument("--folder")
    p.add_argument("--minutes", type=float)
    p.add_argument("--processor", action="store_true", help="count the processor's minutes, not the clock's")
    p.add_argument("--images", type=int, default=120_000)
    p.add_argument("--go-on", type=Path, metavar="FILE", help="start from the weights of this file")
    p.add_argument("--n", type=int, default=10_000)
    p.add_argument("--seeds", type=lambda s: [int(k) for k in s.split(",") if k], default=[0])
    p.add_argument("--plain", action="store_true", help="sample models of noise levels in the untuned way")
    p.add_argument("--sampling", type=json.loads,
                   help="sample models of noise levels in this way, as JSON like that in the table")
    p.add_argument("--calls", type=int, default=20)
    p.add_argument("--scale", type=float, default=1., help="guidance scale of a model with labels")
    p.add_argument("--ship", action="store_true", help="copy the weights into the package")
    p.add_argument("--out", type=Path, default=Path("outputs/recipes"))
    p.add_argument("--table", type=Path, default=Path(__file__).parents[1] / "benchmarks/results/recipes.csv")
    a = p.parse_args()
    c = changed(a.options, RECIPES[a.name.split("+")[0]])
    c = START | c
    weights = trained(a.name, c, a)
    score(a.name, c, weights, a)
    if a.ship: print(ship(a.name, c, weights, a))
