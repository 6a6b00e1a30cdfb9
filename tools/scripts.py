"""Write the JavaScript of the chapters: `assets/<room>.js` is what stands between "```js" and "```"
in the prose of a chapter, block after block.

`make export` calls it. So a page that draws in a browser carries exactly what its chapter tells."""
import json
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def script(nb:dict)->str:
    "The blocks of JavaScript in a notebook's prose."
    prose = ("".join(c["source"]) for c in nb["cells"] if c["cell_type"] == "markdown")
    blocks = re.compile(r"^```js\n(.*?)^```$", re.M | re.S)
    return "\n".join(block for text in prose for block in blocks.findall(text))


def scripts(root:Path=ROOT)->dict[str, str]:
    "The files of the chapters that have such blocks: {name: text}."
    found = {}
    for notebook in sorted((root/"nbs").glob("[0-9]_*/[0-9]*.ipynb")):
        nb = json.loads(notebook.read_text(encoding="utf-8"))
        if not (code := script(nb)): continue
        heads = ("".join(c["source"]).splitlines()[0] for c in nb["cells"] if c["cell_type"] == "code")
        module = next(h.split()[-1] for h in heads if "default_exp" in h)
        found[module.split(".")[-1] + ".js"] = (
            f"// Written by `make export` from {notebook.relative_to(root).as_posix()}, "
            f"which explains it.\n\n{code}")
    return found


def write(root:Path=ROOT)->None:
    "Write all of them below `root`, and delete those that no chapter holds any more."
    settings = tomllib.loads((root/"pyproject.toml").read_text(encoding="utf-8"))
    folder, wanted = root/settings["tool"]["nbdev"]["lib_path"]/"assets", scripts(root)
    for old in folder.glob("*.js"):
        if old.name not in wanted: old.unlink()
    for name, text in wanted.items():
        folder.mkdir(exist_ok=True)
        (folder/name).write_text(text, encoding="utf-8")


if __name__ == "__main__": write()
