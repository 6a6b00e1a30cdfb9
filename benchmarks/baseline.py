"""The honest baseline: the recipe of DenoisingDiffusion.jl as it stands, trained with this library and scored
by FLD-v1.

    python benchmarks/baseline.py FOLDER [--row plain|attention|mae] [--epochs 15] [--out outputs/baseline]

FOLDER holds the four official files of MNIST, gzipped or plain. The rows are those of the Julia library's
table:
  plain      UNet(1, 16, T=100) without attention in the middle, 376,913 parameters, squared error
  attention  the same with attention, 602,705 parameters
  mae        as plain, trained on the absolute error
All of them predict the noise, with Adam at a constant 1e-3, batches of 32, a cosine schedule of 100 steps, 15
epochs of the 60,000 training digits, and the weights as they are at the end (no average). Scored with 10,000
samples at 100 DDPM calls and at 20 DDIM calls with η = 0 and 1.

Kill it at any moment and start it again: it goes on from the last finished epoch, and scores that are on
record are not made anew. With OMP_NUM_THREADS=1 it leaves a core for other work. Scores go to
benchmarks/results/baseline.csv, the samples and the state to OUT.
"""
import argparse
import csv
import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from ddpm_edu import GaussianDiffusion, digits, fld, set_seed
from ddpm_edu.core import to_uint8
from ddpm_edu.models import baseline_model
from ddpm_edu.training import adam, train
from ddpm_edu.measuring import fld_interval
from torch.nn import functional as F

COLUMNS = ["row", "parameters", "epochs", "seconds",
           "calls", "sampler", "eta", "fld", "low", "high", "legacy"]


def model_of(row:str)->GaussianDiffusion:
    "The model of a row of the table, with fresh weights."
    set_seed(0)
    model = baseline_model(row == "attention")
    if row == "mae": model.loss = partial(model.loss, loss=F.l1_loss)
    return model


def keep(path:Path, save:Callable[[Path], object])->None:
    "Write beside, then rename: the old file stays until the new one is complete."
    path.parent.mkdir(parents=True, exist_ok=True)
    save(tmp := path.with_name("." + path.name)); os.replace(tmp, path)


def fitted(row:str, folder:str, epochs:int, out:Path)->tuple[GaussianDiffusion, dict]:
    "The model of a row after so many epochs, and the record of its training; goes on from what is on disk."
    model, path = model_of(row), out / f"{row}.pt"
    opt, data, record = adam(model, 1e-3), digits(full=True, path=folder), dict(loss=[], seconds=0.)
    if path.exists():
        at = torch.load(path, weights_only=True)
        record = at["record"]
        model.load_state_dict(at["model"]); opt.load_state_dict(at["opt"]); torch.set_rng_state(at["rng"])
    n, steps = sum(p.numel() for p in model.net.parameters()), len(data) // 32
    print(f"{row}: {n:,} parameters, {len(record['loss'])} of {epochs} epochs done", flush=True)
    for epoch in range(len(record["loss"]), epochs):
        loss = 0.
        for s in itertools.islice(train(model, data, batch_size=32, seed=epoch, opt=opt), steps):
            loss += s.loss / steps
        record["loss"].append(round(loss, 5)); record["seconds"] += s.seconds
        print(f"epoch {epoch + 1}: loss {loss:.4f}, {s.images / s.seconds:.0f} images/s", flush=True)
        state = dict(model=model.state_dict(), opt=opt.state_dict(), rng=torch.get_rng_state(), record=record)
        keep(path, partial(torch.save, state))
    return model.eval(), record | dict(parameters=n, epochs=epochs)


def score(model:GaussianDiffusion, row:str, record:dict, table:Path, out:Path, n:int=10_000)->None:
    "Score what the table lacks, a line at a time."
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    for calls, sampler, eta in ((100, "ddpm", 1), (20, "ddim", 0), (20, "ddim", 1)):
        key = dict(row=row, epochs=str(record["epochs"]), calls=str(calls), sampler=sampler, eta=str(eta))
        if any(key.items() <= r.items() for r in rows): continue
        start = time.perf_counter()
        x = model.sample(n, seed=0, sampler=sampler, n_steps=calls,
                         **({"eta": float(eta)} if sampler == "ddim" else {}))
        keep(out / f"{row}-{calls}-{sampler}-{eta}.pt", partial(torch.save, to_uint8(x)))
        s = fld_interval(x)
        rows.append({k: str(v) for k, v in (record | key | dict(seconds=round(record["seconds"]),
                                                                fld=round(fld(x), 2), low=round(s.low, 2),
                     high=round(s.high, 2), legacy=round(fld(x, protocol="legacy"), 2))).items()
                     if k in COLUMNS})
        print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
        with table.open("w", newline="") as f:
            w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(rows)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--row", choices=["plain", "attention", "mae"], default="plain")
    p.add_argument("--epochs", type=int, default=15)
    p.add_argument("--out", type=Path, default=Path("outputs/baseline"))
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "baseline.csv")
    a = p.parse_args()
    a.table.parent.mkdir(exist_ok=True)
    model, record = fitted(a.row, a.folder, a.epochs, a.out)
    score(model, a.row, record, a.table, a.out)
