"""Write the doors of the floors: `ddpm_edu/<floor>/__init__.pyi` lists what the chapters of the floor export,
in their order.

`make export` calls it after nbdev has written the modules. The front door, `ddpm_edu/__init__.pyi`, is
written by hand."""
import ast
import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def _package(root):
    "The folder of the package below `root`."
    settings = tomllib.loads((root/"pyproject.toml").read_text(encoding="utf-8"))
    return root/settings["tool"]["nbdev"]["lib_path"]


def exported(module):
    "The names in a module's `__all__`."
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def rooms(root, floor):
    "The modules of a floor in the order of their chapters."
    first = re.compile(r"#\|\s*default_exp:?\s+([\w.]+)")
    for notebook in sorted((root/"nbs").glob("[0-9]_*/[0-9]*.ipynb")):
        m = first.search(notebook.read_text(encoding="utf-8"))
        if m and m[1].startswith(f"{floor}."): yield m[1].split(".")[1]


def door(root, floor):
    """The text of a door.
    Raises `ValueError` where two rooms offer the same name, or a name is that of a room."""
    lines, seen = [], {}
    listed = list(rooms(root, floor))
    for room in listed:
        for name in exported(_package(root)/floor/f"{room}.py"):
            if name in seen or name in listed:
                where = f"in {floor}.{seen[name]}" if name in seen else "a room"
                raise ValueError(f"{floor}.{room} offers `{name}`, which is also {where}")
            seen[name] = room
            lines.append(f"from .{room} import {name} as {name}")
    return "\n".join(["# Written by `make export` from what the chapters of this floor export.",
                      *lines]) + "\n"


def write(root=ROOT):
    "Write all doors below `root`."
    for package in sorted(_package(root).glob("*/__init__.py")):
        (package.parent/"__init__.pyi").write_text(door(root, package.parent.name), encoding="utf-8")


if __name__ == "__main__": write()
