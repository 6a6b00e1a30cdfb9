"The extra `docs`: the site is built, and a dead link stops it."
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_the_site_is_built():
    done = subprocess.run([sys.executable, ROOT/"tools"/"make_site.py"], cwd=ROOT, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((ROOT/"_site").rglob("*.html"))) > 60
