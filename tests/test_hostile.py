"Hostile checkpoints and random wrong arguments, each in a process of its own: `make test-more`."
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fuzz

pytestmark = pytest.mark.more
HERE = Path(__file__).parent


def test_hostile_checkpoints():
    env = os.environ | {"PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1", "DDPM_EDU_DEVICE": "cpu"}
    run = subprocess.run([sys.executable, HERE/"hostile_checkpoints.py"], capture_output=True, text=True,
                         check=False, env=env, timeout=900)
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["checkpoints"] > 150 and found["faults"] == 0, run.stderr
    assert found["MB above import torch"] < 500 and found["slowest"] < 20


def test_wrong_arguments():
    seed = int(os.environ.get("FUZZ_SEED", 1))               # `FUZZ_SEED=$RANDOM make test-more`: other calls
    results = fuzz.fuzz(1500, seed)
    count, raw, front, n = fuzz.shares(results)
    said = f"FUZZ_SEED={seed}: " + "\n".join(str(r) for r in results if r[1] != "ok")
    assert count["crash"] == count["hang"] == count["nan"] == 0, said
    assert n > 300 and front <= 4 and raw <= 15, said  # of some 600 calls at the front doors: 2 % ± 1.2 %


def test_the_fuzzer_finds_what_it_looks_for():
    import time
    def f(x): return x / 0
    def g(x): return float("nan")
    def h(x): time.sleep(60)
    def i(x): return x
    limit, fuzz.LIMIT = fuzz.LIMIT, .2
    try: assert [fuzz.one("f", c, {"x": 1})[0] for c in (f, g, h, i)] == ["raw", "nan", "hang", "ok"]
    finally: fuzz.LIMIT = limit
