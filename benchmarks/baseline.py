"""The honest baseline: the recipe of DenoisingDiffusion.jl as it stands, trained with this library and scored
by FLD-v1.

    python benchmarks/baseline.py FOLDER [--row plain|attention|mae|guided] [--epochs 15] [--out OUT]

FOLDER holds the four official files of MNIST, gzipped or plain. The rows are those of the Julia library's
table:
  plain      UNet(1, 16, T=100) without attention in the middle, 376,913 parameters, squared error
  attention  the same with attention, 602,705 parameters
  mae        as plain, trained on the absolute error
  guided     with attention and labels, 622,865 parameters, a fifth of the labels dropped; sampled with
             guidance 2 and the labels of the first training digits
All of them predict the noise, with Adam at a constant 1e-3, batches of 32, a cosine schedule of 100 steps, 15
epochs of the 60,000 training digits, and the weights as they are at the end (no average). Scored with 10,000
samples at 100 DDPM calls and at 20 DDIM calls with η = 0 and 1.

Kill it at any moment and start it again: it goes on from the last finished epoch or the last ten minutes, and
scores that are on record are not made anew. With OMP_NUM_THREADS=1 it leaves a core for other work. Scores go
to benchmarks/results/baseline.csv, the samples and the run to OUT.
"""
import argparse
import csv
import time
from pathlib import Path

import torch
from ddpm_edu import GaussianDiffusion, digits, fit, fld, set_seed
from ddpm_edu.core import to_uint8, write_file
from ddpm_edu.models import baseline_model
from ddpm_edu.training import Run
from ddpm_edu.measuring import fld_interval
from safetensors.torch import save as to_bytes

COLUMNS = ["row", "parameters", "epochs", "seconds",
           "calls", "sampler", "eta", "fld", "low", "high", "legacy"]


def model_of(row:str)->GaussianDiffusion:
    "The model of a row of the table, with fresh weights."
    set_seed(0)
    model = baseline_model(row in ("attention", "guided"), num_classes=10 if row == "guided" else 0)
    if row == "guided": model.p_uncond = .2
    if row != "mae": return model
    return GaussianDiffusion(model.net, model.table["betas"], model.data_shape, loss="mae")


def fitted(row:str, folder:str, epochs:int, out:Path)->tuple[GaussianDiffusion, dict]:
    "The model of a row after so many epochs, and the record of its training; goes on from what is on disk."
    model, data = model_of(row), digits(full=True, path=folder)
    steps = -(-len(data) // 32)
    log = fit(model, data, epochs=epochs, batch_size=32, lr=1e-3, rate="constant", average=False,
              run=Run(out / row, every=steps, keep=1))
    losses = [round(sum(part) / len(part), 5)
              for part in (log["loss"][i:i + steps] for i in range(0, len(log["loss"]), steps))]
    print(f"mean loss of each epoch: {losses}", flush=True)
    n = sum(p.numel() for p in model.net.parameters())
    return model, dict(loss=losses, seconds=log["seconds"], parameters=n, epochs=epochs)


def score(model:GaussianDiffusion, row:str, record:dict, table:Path, out:Path,
          labels:torch.Tensor|None)->None:
    "Score what the table lacks, a line at a time, with 10,000 samples."
    guided = {} if labels is None else {"labels": labels, "guidance_scale": 2.}
    rows = list(csv.DictReader(table.open())) if table.exists() else []
    for calls, sampler, eta in ((100, "ddpm", 1), (20, "ddim", 1), (20, "ddim", 0)):
        key = dict(row=row, epochs=str(record["epochs"]), calls=str(calls), sampler=sampler, eta=str(eta))
        if any(key.items() <= r.items() for r in rows): continue
        start = time.perf_counter()
        x = model.sample(10_000, seed=0, sampler=sampler, n_steps=calls, **guided,
                         **({"eta": float(eta)} if sampler == "ddim" else {}))
        write_file(out / f"{row}-{calls}-{sampler}-{eta}.safetensors", to_bytes({"x": to_uint8(x).cpu()}))
        s = fld_interval(x)
        # others may have written meanwhile
        rows = list(csv.DictReader(table.open())) if table.exists() else []
        found = dict(seconds=round(record["seconds"]), fld=round(s.value, 2), low=round(s.low, 2),
                     high=round(s.high, 2), legacy=round(fld(x, protocol="legacy"), 2))
        rows.append({k: str(v) for k, v in (record | key | found).items() if k in COLUMNS})
        print(rows[-1], f"{time.perf_counter() - start:.0f} s", flush=True)
        with table.open("w", newline="") as f:
            w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(rows)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--row", choices=["plain", "attention", "mae", "guided"], default="plain")
    p.add_argument("--epochs", type=int, default=15)
    p.add_argument("--out", type=Path, default=Path("outputs/baseline"))
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "baseline.csv")
    a = p.parse_args()
    a.table.parent.mkdir(exist_ok=True)
    model, record = fitted(a.row, a.folder, a.epochs, a.out)
    labels = digits(full=True, path=a.folder).y[:10_000] if a.row == "guided" else None
    score(model, a.row, record, a.table, a.out, labels)
