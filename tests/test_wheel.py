"""A wheel, installed (not editable) into an empty environment and used without a network, carries all that it
needs."""
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from zipfile import ZipFile

import ddpm_edu
import pytest

ROOT = Path(__file__).parents[1]
# no network at all, where the system lets us; the script also blocks it for itself
OFFLINE = ["unshare", "-rn"]
if not shutil.which("unshare") or subprocess.run([*OFFLINE, "true"], capture_output=True).returncode:
    OFFLINE = []

SCRIPT = '''
import socket
def refuse(*args): raise OSError("this test has no network")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refuse

from importlib.metadata import version
import ddpm_edu
from ddpm_edu import GaussianDiffusion, UNet, cosine_beta_schedule, digits, fit
print("package", ddpm_edu.__file__)
print("version", version("ddpm_edu"))
train, test = digits(), digits(train=False)
print("digits", len(train), len(test))
net = UNet(1, 8, T=100, channel_multipliers=(1, 2), num_classes=10)
model = GaussianDiffusion(net, cosine_beta_schedule(100), train.shape, p_uncond=0.1)
fit(model, train, steps=2, batch_size=8, device="cpu")
print("shape", *model.sample(2, labels=3, sampler="ddim", n_steps=2, seed=0).shape)
'''


def run(*command, **options):
    "The output of a command that must succeed."
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from a copy, so that nothing is left in the working tree and nothing left there gets in; by way
    of the source archive, as `python -m build` does."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("setup.py", "settings.ini", "pyproject.toml",
                 "MANIFEST.in", "README.md", "LICENSE", "NOTICE",
                 "CHANGELOG.md", "CITATION.cff"):
        shutil.copy(ROOT/name, source)
    shutil.copytree(ROOT/"ddpm_edu", source/"ddpm_edu", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-c", f"from setuptools import build_meta; build_meta.build_sdist({str(out)!r})",
        cwd=source)
    run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps",
        "--no-index", "--no-build-isolation", "-w", out, next(out.glob("*.tar.gz")))
    return next(out.glob("ddpm_edu-*.whl"))


def test_wheel_carries_modules_data_and_licences(wheel):
    held = set(ZipFile(wheel).namelist())
    files = [p.relative_to(ROOT).as_posix()
             for p in (ROOT/"ddpm_edu").rglob("*") if p.is_file() and "__pycache__" not in p.parts]
    assert sum(f.startswith("ddpm_edu/assets/") for f in files) > 0 and set(files) - held == set()
    assert {name.rsplit("/", 1)[1]
            for name in held if "dist-info" in name} >= {"LICENSE", "NOTICE", "METADATA"}
    assert not [name for name in held if not name.startswith(("ddpm_edu/", "ddpm_edu-"))]


def test_wheel_works_offline_in_an_empty_environment(wheel, tmp_path):
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path/"env")
    python = tmp_path/"env"/Path(sysconfig.get_path("scripts")).name/Path(sys.executable).name
    run(sys.executable, "-m", "pip", "--python", python, "install", "-q", "--no-deps", "--no-index", wheel)
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # torch and the rest are borrowed; the editable install beside them is not, as .pth files in a folder
    # named by a .pth file do not count
    (site/"borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (tmp_path/"script.py").write_text(SCRIPT)
    (tmp_path/"home").mkdir()
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "DDPM_EDU_DATA")}
    env |= {"HOME": str(tmp_path/"home"), "OMP_NUM_THREADS": "1"}
    said = dict(line.split(" ", 1)
                for line in run(*OFFLINE, python, "script.py", cwd=tmp_path, env=env).splitlines() if line)
    assert Path(said["package"]).is_relative_to(site) and said["version"] == ddpm_edu.__version__
    assert said["digits"] == "10000 2000" and said["shape"] == "2 1 28 28", said
