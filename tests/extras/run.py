"""Each extra in an environment of its own, with nothing but the package's requirements, the extra, and
pytest: the tests beside this file run there, and none may be skipped. `make test-extras`, or `python
tests/extras/run.py hub`. Where an extra names a greatest version of a package, as `trackio` does of Pillow,
the version in constraints.txt does not count.

`clip` is left out: open_clip needs a torchvision, which PyPI has for other builds of PyTorch only (5 GB on
Linux). The guidance by a sentence is tested with another encoder of the same kind, and its message here, in
`none`."""
import os
import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent


def run(extra):
    config = ConfigParser(inline_comment_prefixes="#", delimiters="=", interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    package = config["package"]
    wanted = package["requirements"] + (package[f"{extra}_requirements"]
                                        if extra != "none" else "") + "\npytest"
    folder = ROOT/".extras"/extra
    python = folder/("Scripts" if os.name == "nt" else "bin")/"python"
    if not python.exists(): subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    capped = {line.split("<")[0].strip() for line in wanted.splitlines() if "<" in line}
    lines = (ROOT/"constraints.txt").read_text(encoding="utf-8").splitlines()
    held = "\n".join(line for line in lines if line.split("==")[0] not in capped)
    (folder/"constraints.txt").write_text(held, encoding="utf-8")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                    "-c", folder/"constraints.txt", *wanted.split()], check=True)
    tests = [python, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", "--import-mode=importlib",
             HERE/f"{extra}.py"]
    done = subprocess.run(tests, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False,
                          stdout=subprocess.PIPE, text=True)
    print(f"--- {extra}\n{done.stdout}", flush=True)
    return done.returncode == 0 and "skipped" not in done.stdout


if __name__ == "__main__":
    extras = sys.argv[1:] or sorted(p.stem for p in HERE.glob("*.py") if p.stem != "run")
    failed = [extra for extra in extras if not run(extra)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
