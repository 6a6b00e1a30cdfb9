"""The tricks of the trade on digits, each with each, at equal minutes of the processor: what the network is
asked, how the noise levels are weighed, whether it is shown its last guess, whether weights are averaged.

    OMP_NUM_THREADS=1 nice python benchmarks/tricks.py [--minutes .75] [--n 500] [--only NAME …]

The network is the same for all: a `UNet` with labels and about 400,000 parameters (self-conditioning adds
144), trained by `fit` with Muon on the 10,000 digits that ship, on one thread. The minutes are those that the
processor works for the training. A training in minutes cannot be taken up to the last bit, so they are made
into steps once, by timing some steps with and without self-conditioning (`plan.csv` in OUT), and every
training of a kind gets as many. A training gives two lines of the table: the weights as they are at the end,
and their average.

Besides all combinations (save one that cannot work) there are trainings with other seeds, for the chance
that is in a training, and with a constant learning rate, since the usual one falls to zero and leaves little
to average.

Runs go to OUT, lines to benchmarks/results/tricks.csv, samples to tricks.png beside it. What is on record is
left out and a run that was killed goes on, so it can be killed and started again.
"""
import argparse
import csv
import statistics
import time
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import torch
from ddpm_edu import GaussianDiffusion, Run, UNet, cosine_beta_schedule, digits, fit, grid, muon, save_image
from ddpm_edu import set_seed
from ddpm_edu.core import to_uint8
from ddpm_edu.denoising import karras_sigmas
from ddpm_edu.measuring import fld_interval
from ddpm_edu.training import ema, train, validation_loss

T, SIDE, DECAY = 1000, (1, 28, 28), .998
LEVELS, ETA = karras_sigmas(20, .1, 30., rho=4.), 1.5  # as `digits_guided` is sampled


class Trick(NamedTuple):
    "A row of the table, but for the average."
    objective:str
    weighting:str
    self_condition:bool
    rate:str = "trapezoid"
    seed:int = 0

    @property
    def name(self)->str:
        more = ["self"] * self.self_condition + [self.rate] * (self.rate != "trapezoid")
        return "-".join([self.objective, self.weighting, *more, *[str(self.seed)] * bool(self.seed)])


GRID = [Trick(o, w, s) for w, s, o in product(("plain", "min_snr"), (False, True), ("eps", "x0", "v"))]
BESIDE = [Trick("v", "plain", False, "constant"), *(Trick("v", "plain", False, seed=k) for k in (1, 2))]
TRICKS = {t.name: t for t in [*GRID, *BESIDE]}


def model_of(t:Trick)->GaussianDiffusion:
    "The model of a row, with fresh weights."
    set_seed(t.seed)
    net = UNet(1 + t.self_condition, 16, T, num_classes=10, middle_attention=False, combine_embeddings="sum",
               out_channels=1, block="PreActBlock", zero_final=True)
    return GaussianDiffusion(net, cosine_beta_schedule(T), SIDE, t.objective, .1, weighting=t.weighting,
                             self_condition=t.self_condition)


def seconds_a_step(self_condition:bool, n:int=80)->float:
    "The processor's seconds for a step, the mean of some, without the first."
    model, took, at = model_of(Trick("v", "plain", self_condition)), [], time.process_time()
    for _ in islice(ema(train(model, digits(), opt=muon(model, .016)), DECAY), n):
        took.append(time.process_time() - at); at = time.process_time()
    return statistics.mean(took[10:])  # with self-conditioning every other step is a longer one


def planned(path:Path, minutes:float)->dict[bool, int]:
    "Steps for a training without and with self-conditioning, from the file if it was measured before."
    if not path.exists():
        with path.open("w", newline="") as f:
            w = csv.writer(f, lineterminator="\n"); w.writerow(["self_condition", "seconds_a_step"])
            w.writerows([[s, f"{seconds_a_step(s):.5f}"] for s in (False, True)])
    return {r["self_condition"] == "True": round(60 * minutes / float(r["seconds_a_step"]))
            for r in csv.DictReader(path.open())}


def add(path:Path, rows:list[dict])->None:
    "Add lines to a table."
    old = list(csv.DictReader(path.open())) if path.exists() else []
    with path.open("w", newline="") as f:
        w = csv.DictWriter(f, list(rows[0]), lineterminator="\n"); w.writeheader(); w.writerows([*old, *rows])


def scored(model:GaussianDiffusion, n:int, keep:Path)->dict:
    "Loss on digits that were held out, and FLD of as many samples of each digit; forty of them are kept."
    x = model.sample(n, torch.arange(n) % 10, sampler="dpmpp_2m_sde", sigmas=LEVELS, eta=ETA, seed=0)
    torch.save(to_uint8(x[:40]), keep)
    s = fld_interval(x)
    return dict(loss=round(validation_loss(model, digits(train=False), 2000), 5),
                fld=round(s.value, 2), low=round(s.low, 2), high=round(s.high, 2))


def measured(t:Trick, steps:int, minutes:float, n:int, out:Path)->list[dict]:
    "Both lines of a training."
    model, at = model_of(t), time.process_time()
    log = fit(model, digits(), steps=steps, opt=muon(model, .016), device="cpu", seed=t.seed, average=DECAY,
              rate=t.rate, run=Run(out / t.name, keep=1))
    command = f"nice python benchmarks/tricks.py --minutes {minutes:g} --n {n} --only {t.name}"
    told = t._asdict() | dict(minutes=minutes, steps=log["steps"], images=log["images"],
                              seconds=round(time.process_time() - at, 1))
    rows = [told | dict(average=True) | scored(model, n, out / f"{t.name}.pt")]
    model.load_state_dict(log["raw"])
    rows.append(told | dict(average=False) | scored(model, n, out / f"{t.name}-raw.pt"))
    return [r | dict(n=n, command=command) for r in rows]


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", nargs="+", choices=list(TRICKS), default=list(TRICKS))
    p.add_argument("--minutes", type=float, default=.75)
    p.add_argument("--n", type=int, default=500)
    p.add_argument("--out", type=Path, default=Path("outputs/tricks"))
    p.add_argument("--table", type=Path, default=Path(__file__).with_name("results") / "tricks.csv")
    a = p.parse_args()
    torch.set_num_threads(1)
    a.out.mkdir(parents=True, exist_ok=True)
    steps = planned(a.out / "plan.csv", a.minutes)
    for name in a.only:
        t = TRICKS[name]
        there = list(csv.DictReader(a.table.open())) if a.table.exists() else []
        same = lambda r: all(r[k] == str(v) for k, v in t._asdict().items())  # noqa: B023
        if any(map(same, there)): continue
        rows = measured(t, steps[t.self_condition], a.minutes, a.n, a.out)
        add(a.table, rows)
        print(*(f"{name} {'average' if r['average'] else 'raw':7} FLD {r['fld']}" for r in rows), sep="\n",
              flush=True)
    shown = [path for t in GRID if (path := a.out / f"{t.name}.pt").exists()]
    if shown:  # a row of twenty samples for each, two of each digit
        rows = torch.cat([torch.load(path, weights_only=True)[:20] for path in shown])
        save_image(grid(rows / 127.5 - 1, 20), a.table.with_suffix(".png"))
