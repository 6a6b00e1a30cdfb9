"Chapters import from lower-numbered chapters only; the number of a notebook is its place in the building (see CONTRIBUTING.md)."
import ast
import json
import re
from pathlib import Path

import ddpm_edu
import pytest

NBS = Path(__file__).parents[1]/"nbs"


def code_cells(notebook):
    "The source of each code cell, other languages' apart."
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%%"): yield source


def default_exp(notebook):
    "The module that a notebook exports, or None."
    return next((m[1] for cell in code_cells(notebook) if (m := re.search(r"^#\|\s*default_exp:?\s+(\S+)", cell, re.M))), None)


def imported(code, homes, modules):
    "Modules of the package that `code` imports, wherever in it: `homes` maps the package's own names to modules, `modules` lists these."
    def module(path):  # the longest part of a dotted path below ddpm_edu that is a module; else the home of its first name
        parts = path.split(".")
        return next((m for i in range(len(parts), 0, -1) if (m := ".".join(parts[:i])) in modules), homes.get(parts[0], parts[0]))

    found, below = set(), lambda name: name.removeprefix("ddpm_edu.") if name.startswith("ddpm_edu.") else None
    for node in ast.walk(ast.parse(re.sub(r"^[%!].*", "", code, flags=re.M))):  # without IPython's own lines
        if isinstance(node, ast.Import): found |= {module(p) for alias in node.names if (p := below(alias.name))}
        elif isinstance(node, ast.ImportFrom) and node.module == "ddpm_edu": found |= {module(a.name) for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (p := below(node.module or "")): found |= {module(p)}
        elif isinstance(node, ast.Attribute) and re.match(r"ddpm_edu\.[\w.]+$", name := ast.unparse(node)): found |= {module(below(name))}
    return found - {"__version__", "__file__", "*"}


def upward(chapters, homes):
    "One sentence per import that does not point down. `chapters` is {notebook name: (module, [code, ...])}."
    number = lambda name: int(name.split("_")[0])
    chapter_of = {module: name for name, (module, _) in chapters.items() if module}
    found = []
    for name, (_, cells) in sorted(chapters.items()):
        for used in sorted(set().union(*(imported(c, homes, chapter_of) for c in cells))):
            other = chapter_of.get(used)
            if other is None: found.append(f"{name} imports ddpm_edu.{used}, which no chapter exports")
            elif number(other) >= number(name): found.append(f"{name} imports ddpm_edu.{used}, but {other} has no lower number")
    return found


CHAPTERS = {p.stem: (default_exp(p), list(code_cells(p))) for p in NBS.glob("[0-9]*_*.ipynb")}


def test_chapters_import_from_lower_numbers_only():
    assert CHAPTERS
    assert upward(CHAPTERS, ddpm_edu._homes) == []


def test_every_chapter_has_its_own_number_and_module():
    numbers = [name.split("_")[0] for name in CHAPTERS]
    assert len(set(numbers)) == len(numbers), sorted(numbers)
    assert {name: module for name, (module, _) in CHAPTERS.items() if module and module.replace(".", "_") != name.split("_", 1)[1]} == {}


UP = ["from ddpm_edu.high import x", "import ddpm_edu.high", "import torch, ddpm_edu.high as h", "from ddpm_edu import high",
      "from ddpm_edu import High", "import ddpm_edu\nddpm_edu.High(3)", "def f():\n    from ddpm_edu.high import x",
      "%matplotlib inline\nfrom ddpm_edu.high import (\n    x,\n)", "from ddpm_edu.low import x\nfrom ddpm_edu.high import x",
      "from ddpm_edu.middle import itself"]


@pytest.mark.parametrize("code", UP)
def test_an_import_that_points_up_is_found(code):
    made_up = {"00_low": ("low", []), "10_middle": ("middle", [code]), "20_high": ("high", [])}
    found = upward(made_up, dict(High="high", Low="low"))
    assert len(found) == 1 and found[0].startswith("10_middle imports ddpm_edu."), found


def test_imports_that_point_down_are_left_alone():
    code = "from ddpm_edu.low import x\nfrom ddpm_edu import Low\nimport ddpm_edu as d\nddpm_edu.Low(ddpm_edu.__version__)\n'ddpm_edu.high'"
    made_up = {"00_low": ("low", []), "10_middle": ("middle", [code]), "20_high": ("high", [])}
    assert upward(made_up, dict(High="high", Low="low")) == []


def test_an_import_of_what_no_chapter_exports_is_found():
    assert "which no chapter exports" in upward({"10_middle": ("middle", ["from ddpm_edu.gone import x"])}, {})[0]
