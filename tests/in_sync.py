"""Are the notebooks clean, and is the library exactly what they export? Prints one sentence for each file
that is not, and exits with 1.

The notebooks are exported into an emptied copy of the package and finished and cleaned there, doors,
stubs and scripts are written, and the copy is compared with the working tree byte for byte. So it needs no
git, sees uncommitted work, and finds modules that no notebook makes any more. Run it as `python
tests/in_sync.py [FOLDER]`; `make test` does."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

FIX = "run `make export`"
TOOLS = Path(__file__).parents[1]/"tools"


def _files(folder, *patterns):
    "Paths below `folder` that match, without caches, check-points and other hidden folders."
    found = {p.relative_to(folder) for pattern in patterns for p in folder.rglob(pattern)}
    return sorted(p for p in found if not any(part.startswith((".", "__pycache__")) for part in p.parts))


def _unreadable(path):
    try:
        return None if isinstance(json.loads(path.read_text(encoding="utf-8"))["cells"],
                                  list) else "its cells are not a list"
    except (ValueError, KeyError, TypeError) as e: return f"{type(e).__name__}: {e}"


def _rebuild(copy):
    "What `make export` does, in the folder `copy`; returns what it complained about."
    code = ("from nbdev.doclinks import nbdev_export "
            "as e; from nbdev.clean import nbdev_clean as c; e.__wrapped__(); c.__wrapped__()")
    # nobody's own nbdev settings
    env = {k: v for k, v in os.environ.items() if k != "IN_TEST"} | {"XDG_CONFIG_HOME": str(copy/".none")}
    run = subprocess.run([sys.executable, "-c", code], cwd=copy, env=env, capture_output=True, text=True)
    if run.returncode:
        return [f"the notebooks cannot be exported: {(run.stderr.strip().splitlines() or ['?'])[-1]}"]
    sys.path.insert(0, str(TOOLS))
    import doors
    import pages
    import scripts
    import stubs
    try: doors.write(copy); stubs.write(copy); pages.write(copy); scripts.write(copy)
    except ValueError as e: return [str(e)]
    return [f"{line.split(chr(39))[1]} has `#| export` cells but no `#| default_exp` cell: add one"
            for line in run.stderr.splitlines() if "without `#| default_exp`" in line]


def problems(root):
    """One sentence, with the fix, for each file below `root` that is out of sync or not clean; an empty list
    when all is well."""
    root = Path(root).resolve()
    settings = tomllib.loads((root/"pyproject.toml").read_text(encoding="utf-8"))["tool"]["nbdev"]
    nbs, lib = root/settings["nbs_path"], root/settings["lib_path"]
    notebooks = _files(nbs, "*.ipynb")
    if bad := [f"{nbs.name}/{p} is not a readable notebook ({why})"
               for p in notebooks if (why := _unreadable(nbs/p))]:
        return bad
    with tempfile.TemporaryDirectory() as tmp:
        copy = Path(tmp).resolve()
        by_hand = [*lib.rglob("__init__.py"), *lib.glob("__init__.pyi"), *lib.glob("__main__.py")]
        for source in [root/"pyproject.toml", *by_hand, *(nbs/p for p in notebooks)]:
            target = copy/source.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        found = _rebuild(copy)
        same = lambda p: p.read_bytes() == (copy/p.relative_to(root)).read_bytes()
        for p in notebooks:
            if not same(nbs/p):
                found.append(f"{nbs.name}/{p} is not clean (counts, metadata or addresses are stored in it, "
                             f"or links and folds are missing): {FIX}")
        there, made = (set(_files(folder, "*.py", "*.pyi", "*.js")) for folder in (lib, copy/lib.name))
        for p in sorted(there | made):
            if p not in made:
                found.append(f"{lib.name}/{p} is made by no notebook: delete "
                             f"it, or write the notebook that exports it")
            elif p not in there:
                found.append(f"{lib.name}/{p} is missing although a notebook exports it: {FIX}")
            elif not same(lib/p):
                found.append(f"{lib.name}/{p} is not what the notebooks export: {FIX} "
                             "(edited by hand? `.venv/bin/nbdev-update` "
                             "first carries that into the notebook)")
    return found


if __name__ == "__main__":
    root = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    found = problems(root)
    print(*(found or ["Notebooks are clean and the library is what they export."]),
          sep="\n", file=sys.stderr if found else sys.stdout)
    sys.exit(bool(found))
