"""Check the types with mypy, twice: the package as its users see it, with stubs, and all bodies.

Where a class gets methods by `@patch`, mypy reads the stub and not the module. So the second time it reads a
copy in which these methods stand inside their class (its line numbers are the copy's). `make lint` calls it.
"""
import shutil
import sys
import tempfile
from pathlib import Path

from mypy import api
from stubs import ROOT, merged


def complaints(root:Path, cache:Path)->str:
    "What mypy says of the package below `root`; nothing if all is well."
    options = ["--config-file", str(ROOT/"pyproject.toml"), "--cache-dir", str(cache)]
    said, trouble, code = api.run([*options, str(root/"ddpm_edu")])
    return said + trouble if code else ""


def bodies(root:Path)->None:
    "Write the package below `root`, methods inside their classes, without stubs and data."
    skip = shutil.ignore_patterns("__pycache__", "assets", "pretrained", "_modidx.py")
    shutil.copytree(ROOT/"ddpm_edu", root/"ddpm_edu", ignore=skip)
    for stub in (root/"ddpm_edu").rglob("*.pyi"):
        module = stub.with_suffix(".py")
        if module.name == "__init__.py": continue
        module.write_text(merged(module.read_text(encoding="utf-8")), encoding="utf-8"); stub.unlink()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as tmp:
        bodies(Path(tmp))
        found = (complaints(ROOT, ROOT/".mypy_cache/stubs")
                 + complaints(Path(tmp), ROOT/".mypy_cache/bodies").replace(tmp, "methods in their classes:"))
    print(found or "Types are right.")
    sys.exit(bool(found))
