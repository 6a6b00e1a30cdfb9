"Chapters import from lower floors, and on their own floor from lower numbers (see CONTRIBUTING.md)."
import ast
import json
import re
from pathlib import Path

import pytest
from doors import exported

ROOT = Path(__file__).parents[1]
NBS, PACKAGE = ROOT/"nbs", ROOT/"ddpm_edu"


def code_cells(notebook):
    "The source of each code cell, other languages' apart."
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and not source.startswith("%%"): yield source


def default_exp(notebook):
    "The module that a notebook exports, or None."
    return next((m[1] for cell in code_cells(notebook)
                 if (m := re.search(r"^#\|\s*default_exp:?\s+(\S+)", cell, re.M))), None)


def place(name):
    "(floor, number) of a chapter `2_denoising/30_samplers`."
    return tuple(int(part.split("_")[0]) for part in name.split("/"))


def imported(code, homes, modules):
    """Modules of the package that `code` imports, wherever in it. `homes` maps what doors offer, `door.name`
    or (at the front) `name`, to modules; `modules` lists these."""
    # the longest part of a dotted path below ddpm_edu that is a module; else the home of what a door offers
    def module(path):
        parts = path.split(".")
        whole = next((m for i in range(len(parts), 0, -1) if (m := ".".join(parts[:i])) in modules), None)
        return whole or homes.get(".".join(parts[:2])) or homes.get(parts[0]) or path

    found, named, below = (set(), [], lambda name: name.removeprefix("ddpm_edu.")
                           if name.startswith("ddpm_edu.") else None)
    for node in ast.walk(ast.parse(re.sub(r"^[%!].*", "", code, flags=re.M))):  # without IPython's own lines
        if isinstance(node, ast.Import):
            found |= {module(p) for alias in node.names if (p := below(alias.name))}
        elif isinstance(node, ast.ImportFrom) and node.module == "ddpm_edu":
            found |= {module(a.name) for a in node.names}
        elif isinstance(node, ast.ImportFrom) and (p := below(node.module or "")):
            found |= {p} if p in modules else {module(f"{p}.{a.name}") for a in node.names}
        elif isinstance(node, ast.Attribute) and re.match(r"ddpm_edu\.[\w.]+$", name := ast.unparse(node)):
            named.append(below(name))
    # the whole name only
    found |= {module(name) for name in named if not any(other.startswith(f"{name}.") for other in named)}
    return found - {"__version__", "__file__", "__all__", "*"}


def upward(chapters, homes):
    "One sentence per import that does not point down. `chapters` is {notebook name: (module, [code, ...])}."
    chapter_of = {module: name for name, (module, _) in chapters.items() if module}
    found = []
    for name, (_, cells) in sorted(chapters.items()):
        for used in sorted(set().union(*(imported(c, homes, chapter_of) for c in cells))):
            other = chapter_of.get(used)
            if other is None: found.append(f"{name} imports ddpm_edu.{used}, which no chapter exports")
            elif place(other) >= place(name):
                found.append(f"{name} imports ddpm_edu.{used}, but {other} does not lie below it")
    return found


CHAPTERS = {f"{p.parent.name}/{p.stem}": (default_exp(p), list(code_cells(p)))
            for p in NBS.glob("[0-9]_*/[0-9]*_*.ipynb")}
MODULES = {module: PACKAGE/f"{module.replace('.', '/')}.py" for module, _ in CHAPTERS.values() if module}
HOMES = {f"{m.split('.')[0]}.{name}": m for m, path in MODULES.items() if "." in m for name in exported(path)}
FRONT = re.findall(r"^from \.([\w.]+) import (\w+)",
                   (PACKAGE/"__init__.pyi").read_text(encoding="utf-8"), re.M)
HOMES |= {name: HOMES.get(f"{door}.{name}", door) for door, name in FRONT}


def test_chapters_import_downwards_only():
    assert len(CHAPTERS) > 40
    assert upward(CHAPTERS, HOMES) == []


def test_every_chapter_has_its_own_number_and_the_module_of_its_name_and_floor():
    places = [place(name) for name in CHAPTERS]
    assert len(set(places)) == len(places), sorted(places)
    floors = {name.split("/")[0]: set() for name in CHAPTERS}
    for name, (module, _) in CHAPTERS.items():
        floor, chapter = name.split("/")
        assert module.split(".")[-1] in (chapter.split("_", 1)[1], floor.split("_", 1)[1]), (name, module)
        floors[floor].add(module.split(".")[0])
    assert {f: packages for f,
            packages in floors.items() if packages != {f.split("_", 1)[1]}} == {"0_ground": {"core", "viz"}}


def test_no_module_takes_another_ones_private_names():
    found = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ImportFrom) or not node.level: continue
            if bad := [a.name for a in node.names if a.name.startswith("_")]:
                found.append(f"{path.relative_to(PACKAGE)} takes {', '.join(bad)} of {node.module}")
    assert found == []


def test_chapters_do_not_go_through_the_door_of_their_own_floor():
    through = lambda module, line: re.match(rf"\s*from ddpm_edu\.{module.split('.')[0]} import (?!blocks)",
                                            line)
    assert [f"{name}: {line}"
            for name, (module, cells) in CHAPTERS.items() for cell in cells for line in cell.splitlines()
            if "." in (module or "") and through(module, line)] == []


UP = ["from ddpm_edu.b.high import x", "import ddpm_edu.b.high",
      "import torch, ddpm_edu.b.high as h", "from ddpm_edu.b import High",
      "from ddpm_edu import High", "import ddpm_edu\nddpm_edu.High(3)",
      "def f():\n    from ddpm_edu.b.high import x",
      "%matplotlib inline\nfrom ddpm_edu.b.high import (\n    x,\n)",
      "from ddpm_edu.a.low import x\nfrom ddpm_edu.b.high import x",
      "from ddpm_edu.b.middle import itself", "import ddpm_edu\nddpm_edu.b.High"]
MADE_UP = dict(High="b.high", Low="a.low") | {"b.High": "b.high", "a.Low": "a.low"}


@pytest.mark.parametrize("code", UP)
def test_an_import_that_points_up_is_found(code):
    made_up = {"0_a/10_low": ("a.low", []), "1_b/10_middle": ("b.middle", [code]),
               "1_b/20_high": ("b.high", [])}
    found = upward(made_up, MADE_UP)
    assert len(found) == 1 and found[0].startswith("1_b/10_middle imports ddpm_edu."), found


def test_imports_that_point_down_are_left_alone():
    code = ("from ddpm_edu.a.low import x\nfrom ddpm_edu import "
            "Low\nimport ddpm_edu as d\nddpm_edu.Low(ddpm_edu.__version__)\n"
            "from ddpm_edu.a import Low\n'ddpm_edu.b.high'")
    made_up = {"0_a/90_low": ("a.low", []), "1_b/10_middle": ("b.middle", [code]),
               "1_b/20_high": ("b.high", [])}
    assert upward(made_up, MADE_UP) == []


def test_an_import_of_what_no_chapter_exports_is_found():
    assert "which no chapter exports" in upward(
        {"1_b/10_middle": ("b.middle", ["from ddpm_edu.b.gone import x"])}, {})[0]
