"""Each extra in an environment of its own, with nothing but the package's requirements, the extra, and
pytest: the tests beside this file run there, and none may be skipped. `make test-extras`, or `python
tests/extras/run.py hub`. The requirements themselves, gigabytes of them, are installed once, in the
environment `none`, which the others see. Where an extra names a greatest version of a package, as `trackio`
does of Pillow, the version in constraints.txt does not count.

`clip` is left out: open_clip needs a torchvision, which PyPI has for other builds of PyTorch only (5 GB on
Linux). The guidance by a sentence is tested with another encoder of the same kind, and its message here, in
`none`. `fid` is left out for the same reason; its tests use a random Inception of the same interface."""
import os
import subprocess
import sys
import time
from configparser import ConfigParser
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PYTHON = Path("Scripts/python.exe" if os.name == "nt" else "bin/python")


def wanted(extra):
    "What an environment is to have, by settings.ini, beyond those below it."
    config = ConfigParser(inline_comment_prefixes="#", delimiters="=", interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    package = config["package"]
    return package["requirements"].split() + ["pytest"] if extra == "none" else package[
        f"{extra}_requirements"].split()


def packages(python):
    "The folder that an environment's packages lie in."
    line = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([python, "-c", line], check=True, stdout=subprocess.PIPE, text=True)
    return Path(said.stdout.strip())


def environment(extra):
    "The Python of an extra's environment, made or brought up to date."
    folder = ROOT/".extras"/extra
    python = folder/PYTHON
    if not python.exists(): subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    if extra != "none":
        (packages(python)/"below.pth").write_text(f"{packages(environment('none'))}\n", encoding="utf-8")
    names = wanted(extra)
    capped = {name.split("<")[0] for name in names if "<" in name}
    lines = (ROOT/"constraints.txt").read_text(encoding="utf-8").splitlines()
    held = "\n".join(line for line in lines if line.split("==")[0] not in capped)
    (folder/"constraints.txt").write_text(held, encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    "-c", folder/"constraints.txt", *names], check=True)
    return python


def run(extra):
    "Whether an extra's tests pass, all of them."
    began, python = time.monotonic(), environment(extra)
    tests = [python, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "--import-mode=importlib",
             HERE/f"{extra}.py"]
    done = subprocess.run(tests, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
                          stdout=subprocess.PIPE, text=True)
    print(f"--- {extra}, {time.monotonic() - began:.0f} s\n{done.stdout}", flush=True)
    return done.returncode == 0 and "skipped" not in done.stdout


if __name__ == "__main__":
    there = sorted(p.stem for p in HERE.glob("*.py") if p.stem not in ("run", "none"))
    extras = sys.argv[1:] or ["none", *there]
    failed = [extra for extra in extras if not run(extra)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
