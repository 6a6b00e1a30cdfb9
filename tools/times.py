"""Measure how long the notebooks run, and write that into the lines at their top.

    OMP_NUM_THREADS=1 python tools/times.py [--write] [nbs/3_networks/30_unet.ipynb ...]

Each notebook (all of them unless some are named) is executed from top to bottom, long cells at full length,
cells that never run or need a GPU left out. Counted is the processor's time, of the kernel and of what it
starts, so that whatever else the machine does makes no difference. The seconds go to
benchmarks/results/running.csv, and `told` says them in words. `--write` measures nothing and writes the lines
of all notebooks from that table. Nothing else of a notebook is changed."""
import argparse
import csv
import json
import os
import re
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from pages import ROOT, chapters

TABLE = ROOT/"benchmarks/results/running.csv"
LEFT_OUT = re.compile(r"^#\|\s*(eval:\s*false|cuda\b|slow\b)|nbdev_export\(\)", re.M)
LINE = re.compile(r"(\bruns in )([^.;,]+?)( on a laptop CPU)")
SECONDS = ("import os as _os; _t = _os.times(); "
           "print(_t.user + _t.system + _t.children_user + _t.children_system)")


def told(seconds:float)->str:
    "Seconds in round words, rather too many than too few."
    if seconds <= 50:
        n = next(n for n in (2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30, 40, 50) if seconds <= n)
        return f"{n} seconds"
    if seconds <= 66: return "a minute"
    if seconds <= 100: return "a minute and a half"
    return f"{max(2, round(seconds / 60 + .2))} minutes"


def read(words:str)->float: # seconds
    "What `told` says. Raises `ValueError` for other words."
    if words in (short := {"a minute": 60., "a minute and a half": 90.}): return short[words]
    m = re.fullmatch(r"(\d+) (second|minute)s", words)
    if not m: raise ValueError(f"{words!r} is not what `told` says")
    return float(m[1]) * (60 if m[2] == "minute" else 1)


def run(path:Path)->tuple[float, nbformat.NotebookNode]: # seconds, and the notebook with its outputs
    "Execute a notebook in a kernel of its own."
    nb = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": path.parent}}
    client = NotebookClient(nb, timeout=1200, kernel_name="python3", resources=where)
    with client.setup_kernel():
        for i, cell in enumerate(nb.cells):
            if cell.cell_type == "code" and not LEFT_OUT.search(cell.source): client.execute_cell(cell, i)
        nb.cells.append(nbformat.v4.new_code_cell(SECONDS))
        seconds = float(client.execute_cell(nb.cells[-1], len(nb.cells) - 1).outputs[0]["text"])
    del nb.cells[-1]
    return seconds, nb


def table()->dict[str, float]: # seconds by the notebook's path below nbs/
    "The seconds that were measured."
    if not TABLE.exists(): return {}
    with TABLE.open(newline="") as f: return {r["notebook"]: float(r["seconds"]) for r in csv.DictReader(f)}


def keep(seconds:dict[str, float])->None:
    "Write the table, in the order of reading; notebooks that are gone are left out."
    order = [p.relative_to(ROOT/"nbs").as_posix() for p in chapters(ROOT/"nbs")]
    rows = [(n, f"{seconds[n]:.1f}") for n in order if n in seconds]
    text = "notebook,seconds\n" + "".join(f"{n},{s}\n" for n, s in rows)
    TABLE.write_text(text, encoding="utf-8")


def write(path:Path, seconds:float)->None:
    "Say the seconds at the top of a notebook; nothing happens where it has no such line."
    nb = json.loads(path.read_text(encoding="utf-8"))
    for cell in nb["cells"][:4]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and LINE.search(source):
            cell["source"] = LINE.sub(rf"\g<1>{told(seconds)}\3", source, count=1).splitlines(keepends=True)
    text = json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    if text != path.read_text(encoding="utf-8"): path.write_text(text, encoding="utf-8")


def main()->None:
    p = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    p.add_argument("--write", action="store_true", help="measure nothing, write the lines from the table")
    p.add_argument("notebooks", nargs="*", type=Path)
    args, seconds = p.parse_args(), table()
    os.environ.pop("IN_TEST", None)
    for path in [] if args.write else [n.resolve() for n in args.notebooks] or chapters(ROOT/"nbs"):
        name = path.relative_to(ROOT/"nbs").as_posix()
        seconds[name] = run(path)[0]
        print(f"{name}: {seconds[name]:.1f} s", flush=True)
        keep(seconds)
    if args.write:
        for path in chapters(ROOT/"nbs"):
            if (name := path.relative_to(ROOT/"nbs").as_posix()) in seconds: write(path, seconds[name])


if __name__ == "__main__": main()
