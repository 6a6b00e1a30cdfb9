"The extra `scale`: accelerate, which starts a script as two processes, and connects them."
import os
import subprocess
import sys
from pathlib import Path

SCRIPT = """
from ddpm_edu import GaussianDiffusion, PointNet, fit, linear_beta_schedule, set_seed, spiral
from ddpm_edu.training import main_process
set_seed(0); model = GaussianDiffusion(PointNet(50, 8), linear_beta_schedule(50), (2,)).double()
log = fit(model, spiral(300), steps=5, batch_size=32, device="cpu")
if main_process(): print(f"LOSS {log['loss'][-1]:.12f}")
"""


def test_two_processes_are_one(tmp_path):
    (tmp_path/"t.py").write_text(SCRIPT)
    env = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    two = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    said = [subprocess.run([*command, tmp_path/"t.py"], env=env, capture_output=True, text=True, check=True)
            for command in ([sys.executable], two)]
    lines = [[v for v in s.stdout.splitlines() if v.startswith("LOSS")] for s in said]
    assert len(lines[0]) == 1 and lines[0] == lines[1]
