"""Finish the notebooks for reading: fold what a reader gains nothing from, link each to its neighbours, and
say how long reading it takes.

`make export` calls it. Folded in JupyterLab (the first line and three dots stay) are `#| hide` cells,
exported cells of imports alone, and the answers of exercises (`#| code-fold: true`), outputs included. The
links, and one to the page of words and symbols, stand in a cell of their own at the end of a chapter;
chapters are read in the order of floors and numbers, tutorials in theirs. The lines at the top that say what
a chapter needs end with the minutes that reading it takes, at 200 words a minute."""
import ast
import json
import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINKS = "chapters-around"                        # the id of the cell with the links
WORDS = "tutorials/90_words.ipynb"                # the glossary, if there is one


def chapters(nbs:Path)->list[Path]:
    "All chapters and then the tutorials, in the order of reading."
    found = [p for p in nbs.glob("*/[0-9]*_*.ipynb") if not p.parent.name.startswith(".")]
    number = lambda name: int(m[0]) if (m := re.match(r"\d+", name)) else 10**9
    return sorted(found, key=lambda p: (number(p.parent.name), p.parent.name, number(p.name)))


def title(nb:dict)->str:
    "The first heading."
    found = (re.match(r"# (.+)", "".join(c["source"])) for c in nb["cells"] if c["cell_type"] == "markdown")
    return next((m[1] for m in found if m), "…")


def only_imports(source:str)->bool:
    "Whether a code cell holds nothing but imports (and says what is to be done with it)."
    if source.startswith("%"): return False
    body = ast.parse(re.sub(r"^[%!].*", "", source, flags=re.M)).body
    return bool(body) and all(isinstance(s, ast.Import | ast.ImportFrom) for s in body)


def folded(source:str)->dict[str, bool]:
    "What JupyterLab folds of a code cell: the source, and of an answer the output as well."
    if re.match(r"#\|\s*code-fold:\s*true", source): return {"outputs_hidden": True, "source_hidden": True}
    useless = re.match(r"#\|\s*hide\b", source) or (source.startswith("#| export") and only_imports(source))
    return {"source_hidden": True} if useless else {}


READING = re.compile(r"^(\*(?:You|In) .*?)(?: About \d+ minutes? of reading\.)?\*$", re.M)


def minutes(nb:dict)->int:
    "How long reading the prose of a notebook takes, in minutes, at 200 words a minute."
    prose = ["".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "markdown"
             and c.get("id") != LINKS and "nbdev" not in c["metadata"]]
    drop = r"```.*?```| About \d+ minutes? of reading\.|\]\([^)]*\)|\$\$.*?\$\$"
    text = re.sub(drop, " ", "\n".join(prose), flags=re.S)
    return max(1, round(len(text.split()) / 200))


def time_reading(nb:dict)->None:
    "Write the minutes into the lines at the top."
    n = minutes(nb)
    for cell in nb["cells"][:4]:
        source = "".join(cell["source"])
        new = READING.sub(rf"\1 About {n} minute{'s' * (n > 1)} of reading.*", source, count=1)
        if cell["cell_type"] == "markdown" and READING.search(source):
            cell["source"] = new.splitlines(keepends=True)
            return


def time_paths(cover:dict, times:dict[str, int])->None:
    "Add the minutes up in the lines of the cover that lead along a path of chapters."
    line = re.compile(r"^(- \*\*.+?\*\* \()\d+( minutes of reading)(.*)$", re.M)
    def added(m:re.Match)->str:
        path = re.findall(r"\]\(([^)]+)\)", m[3])
        return f"{m[1]}{sum(times.get(to, 0) for to in path)}{m[2]}{m[3]}"
    for cell in cover["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and line.search(source):
            cell["source"] = line.sub(added, source).splitlines(keepends=True)


def fold(nb:dict)->None:
    "Set the metadata that JupyterLab goes by; of other cells too, so that it is as written here."
    for cell in nb["cells"]:
        if cell["cell_type"] != "code": continue
        cell["metadata"].pop("jupyter", None)
        if hidden := folded("".join(cell["source"])): cell["metadata"]["jupyter"] = hidden


def link(nb:dict, path:Path, nbs:Path, before:tuple[Path, str]|None, after:tuple[Path, str]|None)->None:
    "Write the cell with the links, before the last heading if that is the one of nbdev."
    to = lambda p: os.path.relpath(p, path.parent).replace(os.sep, "/")
    words = nbs/WORDS
    parts = [f"[← {before[1]}]({to(before[0])})" if before else "", f"[the cover]({to(nbs/'index.ipynb')})",
             f"[words and symbols]({to(words)})" if words.exists() and path != words else "",
             f"[{after[1]} →]({to(after[0])})" if after else ""]
    cell = {"cell_type": "markdown", "id": LINKS, "metadata": {}, "source": [" · ".join(filter(None, parts))]}
    cells = [c for c in nb["cells"] if c.get("id") != LINKS]
    at = next((i for i, c in enumerate(cells) if "".join(c["source"]).startswith("## Export -")), len(cells))
    nb["cells"] = [*cells[:at], cell, *cells[at:]]


def write(root:Path)->None:
    "Finish all notebooks below `root`; files that are right already are not touched."
    nbs = root/"nbs"
    order = chapters(nbs)
    books = {p: json.loads(p.read_text(encoding="utf-8")) for p in [*order, *nbs.glob("index.ipynb")]}
    titles = {p: title(books[p]) for p in order}
    for i, p in enumerate(order):
        around = [(order[k], titles[order[k]]) if 0 <= k < len(order) else None for k in (i - 1, i + 1)]
        link(books[p], p, nbs, *around)
    times = {p.relative_to(nbs).as_posix(): minutes(books[p]) for p in order}
    for p, nb in books.items():
        fold(nb)
        if p.name == "index.ipynb": time_paths(nb, times)
        else: time_reading(nb)
        text = json.dumps(nb, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        if text != p.read_text(encoding="utf-8"): p.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT)
