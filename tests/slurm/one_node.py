"""A real Slurm on one node, on loopback: a job written by `ddpm_slurm` reaches the limit of its time, saves,
is started again, goes on, and ends. `make test-slurm`, as root, with Debian's slurm-wlm and munge:
`apt-get install --no-install-recommends slurm-wlm munge`. Takes about four minutes; leaves nothing behind."""
import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from ddpm_edu.using.slurm import batch_script

ROOT = Path(__file__).parents[2]
PLACES = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin"])
MISSING = [p for p in ("slurmctld", "slurmd", "sbatch", "munged") if shutil.which(p, path=PLACES) is None]
pytestmark = [pytest.mark.skipif(bool(MISSING), reason=f"{', '.join(MISSING)} not installed here"),
              pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="needs root")]
CONFIG = """
ClusterName=one
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
SlurmctldPort=17817
SlurmdPort=17818
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerType=sched/builtin
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
SwitchType=switch/none
KillWait=5
MinJobAge=600
NodeName=localhost NodeHostname={host} NodeAddr=127.0.0.1 Port=17818 CPUs={cpus} RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=localhost Default=YES MaxTime=60 State=UP
"""
TRAIN = """
import time
from ddpm_edu import GaussianDiffusion, PointNet, fit, linear_beta_schedule, set_seed, spiral
from ddpm_edu.training import Run
def slowly(states):
    for s in states: time.sleep(.3); yield s
set_seed(0); model = GaussianDiffusion(PointNet(50, 8), linear_beta_schedule(50), (2,))
log = fit(model, spiral(300), steps={steps}, batch_size=32, device="cpu", run=Run("zoo/run", every=None),
          stages=[slowly])
print("finished after", log["steps"], flush=True)
"""


@pytest.fixture
def slurm(tmp_path_factory):
    "munged, slurmctld and slurmd, and how to call their commands."
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"): (folder/name).mkdir()
    host = socket.gethostname().split(".")[0]
    (folder/"slurm.conf").write_text(CONFIG.format(folder=folder, host=host, cpus=os.cpu_count()))
    key = folder/"key"; key.write_bytes(os.urandom(128)); key.chmod(0o400)
    folder.chmod(0o711)
    env = os.environ | {"SLURM_CONF": str(folder/"slurm.conf"), "PATH": PLACES}
    silent = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    beside = lambda *words: subprocess.Popen(words, env=env, **silent)
    running = [beside("munged", "-F", "-f", f"--key-file={key}", f"--socket={folder}/munge.sock",
                      f"--pid-file={folder}/munged.pid", f"--log-file={folder}/munged.log",
                      f"--seed-file={folder}/munged.seed")]
    try:
        until(lambda: (folder/"munge.sock").exists(), 20)
        running.append(beside("slurmctld", "-D", "-f", str(folder/"slurm.conf")))
        running.append(beside("slurmd", "-D", "-f", str(folder/"slurm.conf")))
        call = lambda *words: subprocess.run(words, env=env, capture_output=True, text=True).stdout.strip()
        until(lambda: call("sinfo", "-h", "-o", "%T") == "idle", 60)
        yield call
    finally:
        for p in reversed(running): p.terminate()
        for p in running:
            try: p.wait(10)
            except subprocess.TimeoutExpired: p.kill()


def until(true, seconds):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it took too long"
        time.sleep(.5)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_job_saves_at_the_limit_is_started_again_and_goes_on(slurm, tmp_path, monkeypatch, processes):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    bin_of_python = Path(sys.executable).parent
    (tmp_path/"train.py").write_text(textwrap.dedent(TRAIN.format(steps=80)))
    text = batch_script(["train.py"], "run", "1", 1, "500M", gpus=0, log="run.log", grace=35)
    two = "python -m torch.distributed.run --standalone --nproc-per-node 2 train.py"
    if processes == 2: text = text.replace("python train.py", two)
    own = f"\nexport PATH={bin_of_python}:$PATH PYTHONPATH={ROOT} OMP_NUM_THREADS=1\n"
    text = text.replace("\n\n", own, 1)
    (tmp_path/"job.sh").write_text(text)
    job = slurm("sbatch", "job.sh").split()[-1]
    assert job.isdecimal()
    shown = lambda: slurm("scontrol", "show", "job", job)
    seen = []
    def ended():
        state = shown().partition("JobState=")[2].split()[0]
        if not seen or seen[-1] != state: seen.append(state)
        if state == "PENDING" and "RUNNING" in seen:                       # it would wait for two minutes
            time.sleep(5); slurm("scontrol", "update", f"JobId={job}", "StartTime=now")
        return state in ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "NODE_FAIL")
    until(ended, 400)
    log = (tmp_path/"run.log").read_text()
    assert seen[-1] == "COMPLETED", (seen, log)
    assert "Restarts=0" not in shown() and "going on from step" in log, (seen, log)
    assert "finished after 80" in log, log
