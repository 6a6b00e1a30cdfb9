"""Files and folders that somebody made to do harm, from `hostile.py`: each ends in data, or in one sentence,
within limits, and touches nothing else. Each is opened in a process of its own (Linux)."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.more, pytest.mark.skipif(sys.platform != "linux",
                                                   reason="forks, devices and limits")]
HOSTILE = Path(__file__).with_name("hostile.py")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    "What happened, by name; a `gs` that leaves a trace stands first in PATH."
    root, trap = tmp_path_factory.mktemp("hostile"), tmp_path_factory.mktemp("bin")
    for name in ("gs", "sh", "convert", "inkscape"):
        (trap / name).write_text(f"#!/bin/bash\ntouch {trap}/ran\n"); (trap / name).chmod(0o755)
    env = {**os.environ, "PATH": f"{trap}:{os.environ['PATH']}", "XDG_CACHE_HOME": str(root / "scratch"),
           "IN_TEST": "1",
           "TMPDIR": str(tmp_path_factory.mktemp("tmp")), "OMP_NUM_THREADS": "1",
           "PYTHONDONTWRITEBYTECODE": "1"}
    run = lambda how: subprocess.run([sys.executable, HOSTILE, how, root], env=env, capture_output=True,
                                     text=True,
                                     stdin=subprocess.DEVNULL)
    made = run("write"); assert made.returncode == 0, made.stderr
    done = run("run"); assert done.returncode == 0, done.stderr[-3000:]
    for folder, _, _ in os.walk(root): os.chmod(folder, 0o755)
    assert not (trap / "ran").exists()
    return {r["name"]: r for r in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("kind, least", [("pictures", 50), ("folders", 20), ("archives", 40), ("idx", 10),
                                         ("tables", 15),
                                         ("caches", 5), ("arguments", 200), ("home", 1)])
def test_hostile(results, kind, least):
    mine = {name: r for name, r in results.items() if name.startswith(kind)}
    assert len(mine) >= least
    assert {name: r["wrong"] for name, r in mine.items() if r["wrong"]} == {}
    assert {name: r["megabytes"] for name, r in mine.items() if r["megabytes"] > 500} == {}
    assert {name: r["seconds"] for name, r in mine.items() if r["seconds"] > 20} == {}


def test_what_is_refused_is_named(results):
    "A sentence says what is wrong where something is: the case, and a word of the sentence."
    says = {"pictures/postscript.png": "no image format", "pictures/bomb.png": "MB to decode",
            "folders/pipe": "no regular file",
            "folders/holes": "limit", "folders/deep": "too long", "archives/up.tgz": "points outside",
            "archives/device.tar": "link or device",
            "archives/list.zip": "max_files", "archives/bzip2.zip": "deflate",
            "archives/twice.zip": "earlier copy",
            "idx/.gz bomb": "unpacks to more than", "tables/zero": "no regular file",
            "tables/lists": "not the bytes"}
    for name, word in says.items():
        assert word in " ".join(results[name]["said"]), (name, results[name])
