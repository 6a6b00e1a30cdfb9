"""What the tests in a browser need besides: Playwright, pinned, and a Chromium. `make test-browser` runs this
first.

Playwright goes into the environment that runs this file, Chromium into the system (Debian and its relatives;
through sudo unless we are root). Nothing happens where both are there. The environment variable
DDPM_EDU_BROWSER names another browser of Chromium's family."""
import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

PLAYWRIGHT = "1.65.2"
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium():
    "The path of a Chromium, or None."
    return os.environ.get("DDPM_EDU_BROWSER") or next(filter(None, map(shutil.which, NAMES)), None)


def get_playwright():
    try: there = version("playwright")
    except PackageNotFoundError: there = None
    if there == PLAYWRIGHT: return
    pip = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check",
           "-q", f"playwright=={PLAYWRIGHT}"]
    if subprocess.run(pip).returncode:
        raise SystemExit(f"The tests in a browser need playwright {PLAYWRIGHT}, "
                         f"and pip cannot install it (see above): is there a network?")


def get_chromium():
    if chromium(): return
    wanted = f"No Chromium was found (as {', '.join(NAMES)})"
    byhand = "install one by hand, or name a browser of its family in DDPM_EDU_BROWSER"
    if not shutil.which("apt-get"):
        raise SystemExit(f"{wanted}, and there is no apt-get to install it with: {byhand}.")
    root = not hasattr(os, "geteuid") or os.geteuid() == 0
    if not root and not shutil.which("sudo"):
        raise SystemExit(f"{wanted}, and without root or sudo it cannot be installed: {byhand}.")
    apt = [*([] if root else ["sudo"]), "env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y"]
    print(f"{wanted}: installing Debian's, once.", flush=True)
    if subprocess.run([*apt, "install", "chromium"], stdout=subprocess.DEVNULL,
                      stderr=subprocess.DEVNULL).returncode:
        subprocess.run([*apt, "update"], stdout=subprocess.DEVNULL)  # an old list, or none yet
        subprocess.run([*apt, "install", "chromium"], stdout=subprocess.DEVNULL)
    if not chromium():
        raise SystemExit(f"{wanted}, and `apt-get install chromium` has failed (see above): {byhand}.")


if __name__ == "__main__":
    get_playwright()
    get_chromium()
