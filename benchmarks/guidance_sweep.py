"""How hard should one ask? FLD, and the share of digits that are read as asked, against the guidance scale.

    python benchmarks/guidance_sweep.py [FOLDER] [--model digits_guided] [--scales 0,1,1.5,2,3,5,10]
        [--interval LOW,HIGH] [--n 10000]
        [--sampler dpmpp_2m_sde] [--calls 20] [--seed 0] [--table benchmarks/results/guidance.csv] [--data
            fashion]

MODEL is the name of weights that ship, or a file; its labels are those of MNIST. A line is one scale: N
samples, as many of each digit, in the same order and from the same noise for every scale, at CALLS calls
(guidance doubles the batch, not the calls), with FLD-v1, its interval of 95 %, and what the LeNet that ships
makes of them. With --interval guidance works between these two noise levels only. With --data fashion read
clothes for digits on this page, and FLD of clothes for FLD-v1; MODEL is then `fashion` if left out, the table
benchmarks/results/guidance_fashion.csv, and all 10,000 test images are read, from FOLDER or wherever
`fashion()` finds them.

First of all, a line for real digits: the FLD of 10,000 training digits, which is the floor, and how many of
the test digits are read correctly: 2,000 of them, or all 10,000 if FOLDER holds the official files of MNIST.

A line is added to the table as soon as it is known, and lines that are there are not made anew: kill it at
any moment. The column `weights` is the beginning of a sum of the weights, so that better weights of the same
name get lines of their own.
"""
import argparse
import csv
import time
from pathlib import Path

import torch
from ddpm_edu import digits, fashion, load
from ddpm_edu.data import MNIST_FAMILY
from ddpm_edu.models import PRETRAINED, fingerprint
from ddpm_edu.models.files import read_file
from ddpm_edu.measuring import classify, fld_interval, load_lenet

SCALES = (0., 1., 1.5, 2., 3., 5., 10.)
# two calls a step, one in the last
TWICE = {"heun", "dpm_2", "dpm_2_ancestral", "dpmpp_2s_ancestral", "dpmpp_sde"}
COLUMNS = ["model", "weights", "sampler", "calls",
           "guidance_scale", "interval", "n", "seed", "fld", "low", "high", "accuracy", "seconds",
           "command"]


def of_file(name:str)->str:
    "The beginning of the sum of the tensors in a file of weights."
    path = Path(name) if Path(name).is_file() else PRETRAINED / f"{name}.safetensors"
    return fingerprint(read_file(path)[0])[:8]


def keep(rows:list[dict], table:Path)->None:
    "Write the table."
    print({k: v for k, v in rows[-1].items() if v and k != "command"}, flush=True)
    table.parent.mkdir(parents=True, exist_ok=True)
    with table.open("w", newline="") as f:
        w = csv.DictWriter(f, COLUMNS, lineterminator="\n"); w.writeheader(); w.writerows(rows)


def measured(x:torch.Tensor, seen:torch.Tensor, asked:torch.Tensor,
             start:float, reference:str)->dict[str, str]:
    "The figures of a line."
    s = fld_interval(x, reference)
    return dict(fld=f"{s.value:.2f}", low=f"{s.low:.2f}",
                high=f"{s.high:.2f}", accuracy=f"{(seen == asked).double().mean():.4f}",
                seconds=f"{time.perf_counter() - start:.0f}")


def main(a)->None:
    rows = list(csv.DictReader(a.table.open())) if a.table.exists() else []
    command, clothes = "python benchmarks/guidance_sweep.py", a.data == "fashion"
    reference = "fashion" if clothes else "test"
    reader = load_lenet(MNIST_FAMILY['fashion' if clothes else 'mnist'].lenet)
    real = dict(model=f"real {'clothes' if clothes else 'digits'}",
                n="10000" if a.folder or clothes else "2000")
    if not any(real.items() <= r.items() for r in rows):
        start = time.perf_counter()
        test = fashion(False, a.folder) if clothes else digits(train=False,
                                                               full=bool(a.folder), path=a.folder)
        some = fashion(path=a.folder).x[:10_000] if clothes else digits().x
        words = " FOLDER" * bool(a.folder) + " --data fashion" * clothes
        rows.append(real | measured(some, classify(test.x, reader)[0], test.y, start, reference)
                    | dict(command=command + words))
        keep(rows, a.table)
    model, weights, y = load(a.model), of_file(a.model), torch.arange(a.n) % 10
    steps, name = (a.calls + 1) // 2 if a.sampler in TWICE else a.calls, Path(a.model).stem
    between = a.interval and tuple(float(v) for v in a.interval.split(","))
    for scale in a.scales:
        key = dict(model=name, weights=weights, sampler=a.sampler,
                   calls=str(2 * steps - 1 if a.sampler in TWICE else steps),
                   guidance_scale=f"{scale:g}", interval=a.interval, n=str(a.n), seed=str(a.seed))
        if any(key.items() <= r.items() for r in rows): continue
        start = time.perf_counter()
        x = model.sample(a.n, y, scale, batch_size=500, seed=a.seed, sampler=a.sampler, n_steps=steps,
                         **(dict(guidance_interval=between) if between else {}))
        words = (f" --model {name} --scales {scale:g} --n {a.n} --sampler "
                 f"{a.sampler} --calls {a.calls} --seed {a.seed}")
        words += (f" --interval {a.interval}" if a.interval else "") + " --data fashion" * clothes
        rows.append(key | measured(x, classify(x, reader)[0], y, start, reference)
                    | dict(command=command + words))
        keep(rows, a.table)


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", nargs="?")
    p.add_argument("--data", choices=["digits", "fashion"], default="digits")
    p.add_argument("--model", help="a name of weights that ship, or a file")
    p.add_argument("--scales", type=lambda s: [float(c) for c in s.split(",")], default=SCALES)
    p.add_argument("--interval", default="", help="two noise levels, LOW,HIGH")
    p.add_argument("--n", type=int, default=10_000)
    p.add_argument("--sampler", default="dpmpp_2m_sde")
    p.add_argument("--calls", type=int, default=20)
    p.add_argument("--seed", type=int, default=0)
    p.add_argument("--table", type=Path)
    a = p.parse_args()
    a.model = a.model or {"digits": "digits_guided", "fashion": "fashion"}[a.data]
    a.table = a.table or Path(__file__).with_name("results") / {"digits": "guidance.csv",
                                                                "fashion": "guidance_fashion.csv"}[a.data]
    main(a)
