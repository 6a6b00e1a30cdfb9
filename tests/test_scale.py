"""Several processes compute what one computes: two on one machine, two machines on loopback, a batch in
parts, a run that was stopped and goes on, samples. Processes are started as a user starts them, by `torchrun`
and `accelerate launch`, over gloo; each of them imports torch anew, so all of this is marked `more`."""
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

pytestmark = [pytest.mark.more, pytest.mark.skipif(importlib.util.find_spec("accelerate") is None,
                                                   reason="accelerate is not here")]
ROOT = Path(__file__).parents[1]
LAUNCHED = "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"
# Groups of several channels: with one channel a group the normalisation takes the biases before it away,
# their gradient is nothing but rounding, and Adam makes steps of it.
SCRIPT = """
import os, sys, time, torch, warnings
from ddpm_edu import *
from ddpm_edu.data import TensorData
from ddpm_edu.training import *
def say(*words): # in one piece, whatever other processes say
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())
def images(n=60):
    g = torch.Generator().manual_seed(0)
    return TensorData((torch.rand(n, 1, 8, 8, generator=g) * 255).to(torch.uint8), torch.arange(n) % 3)
def make(kind, dtype="float64"):
    set_seed(0)
    if kind == "points": m = GaussianDiffusion(PointNet(50, 8), linear_beta_schedule(50), (2,))
    if kind == "unet":
        m = GaussianDiffusion(UNet(1, 8, 50, (1, 2), num_classes=3, dropout=.1, block_groups=2),
                              linear_beta_schedule(50), (1, 8, 8), p_uncond=.2)
    if kind == "karras":
        m = KarrasDiffusion(UNet(1, 8, 50, (1, 2), num_classes=3, block_groups=2), (1, 8, 8), p_uncond=.2)
    return m.to(getattr(torch, dtype)), spiral(300) if kind == "points" else images()
def keep(out, model, log, **more):
    if main_process(): torch.save(dict(weights=model.state_dict(), raw=log.get("raw"), loss=log["loss"],
                                       steps=log["steps"], images=log["images"], val=log["val_loss"],
                                       skipped=log["skipped"], **more), out)
"""


def script(folder, code):
    path = folder/"script.py"
    path.write_text(SCRIPT + textwrap.dedent(code), encoding="utf-8")
    return path


def environment(**more):
    own = {k: v for k, v in os.environ.items() if k not in LAUNCHED and not k.startswith("ACCELERATE_")}
    return own | dict(OMP_NUM_THREADS="1", IN_TEST="1", PYTHONPATH=str(ROOT), CUDA_VISIBLE_DEVICES="") | more


def torchrun(n, *more):
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", n, *more]


def begun(command, *args, **env):
    return subprocess.Popen([*map(str, command), *map(str, args)], env=environment(**env), text=True,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def started(command, *args, **env):
    process = begun(command, *args, **env)
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 0, said
    return said


def compare(folder, code, *args, n=2, launcher=None):
    "What one process and `n` of them give."
    path = script(folder, code)
    started([sys.executable, path], folder/"1.pt", *args)
    started([*(launcher or torchrun(n, "--standalone")), path], folder/"n.pt", *args)
    return torch.load(folder/"1.pt"), torch.load(folder/"n.pt")


def close(a, b, eps):
    for name in ("weights", "raw"):
        gap = max(float((v - b[name][k]).abs().max()) for k, v in a[name].items())
        assert gap <= eps, (name, gap)
    assert max(abs(x - y) for x, y in zip(a["loss"], b["loss"])) <= eps
    assert len(a["val"]) == len(b["val"]) and all(abs(x[1] - y[1]) <= eps for x, y in zip(a["val"], b["val"]))
    assert all(a[k] == b[k] for k in ("steps", "images", "skipped"))


FIT = """
out, kind, dtype, batch = sys.argv[1:5]
model, data = make(kind, dtype)
log = fit(model, data, steps=12, batch_size=int(batch), device="cpu", valid=data)
keep(out, model, log)
"""


@pytest.mark.parametrize("kind", ["points", "unet", "karras"])
@pytest.mark.parametrize("dtype, eps", [("float64", 1e-12), ("float32", 1e-4)])
def test_two_processes_are_one(tmp_path, kind, dtype, eps):
    "Weights, raw and averaged, losses, held-out loss; with labels that are hidden, and dropout."
    one, two = compare(tmp_path, FIT, kind, dtype, 16)
    close(one, two, eps)
    assert one["val"]


@pytest.mark.parametrize("kind, batch", [("points", 299), ("unet", 59)])       # the last batch is one sample
def test_shares_may_be_uneven_or_empty(tmp_path, kind, batch):
    close(*compare(tmp_path, FIT, kind, "float64", batch, n=3), 1e-12)


def test_the_doubled_batch_of_one_is_two_machines(tmp_path):
    "Two agents of torchrun, as on two machines, that meet on loopback."
    path, port = script(tmp_path, FIT), free_port()
    started([sys.executable, path], tmp_path/"1.pt", "points", "float64", 64)
    agents = [begun([*torchrun(1, "--nnodes", 2, "--node-rank", k, "--master-addr", "127.0.0.1",
                               "--master-port", port), path], tmp_path/"n.pt", "points", "float64", 64)
              for k in range(2)]
    said = [a.communicate(timeout=300)[0] for a in agents]
    assert all(a.returncode == 0 for a in agents), said
    close(torch.load(tmp_path/"1.pt"), torch.load(tmp_path/"n.pt"), 1e-12)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_accelerate_launch(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch"]
    two = [*launch, "--multi_gpu", "--num_processes", 2, "--main_process_port", free_port()]
    path = script(tmp_path, FIT)
    started([sys.executable, path], tmp_path/"1.pt", "points", "float64", 32)
    started([*two, path], tmp_path/"n.pt", "points", "float64", 32, ACCELERATE_USE_CPU="true")
    close(torch.load(tmp_path/"1.pt"), torch.load(tmp_path/"n.pt"), 1e-12)


def test_the_obvious_line_starts_one_process_and_that_is_said(tmp_path):
    launch = [sys.executable, "-m", "accelerate.commands.accelerate_cli", "launch", "--num_processes", 2,
              "--cpu"]
    said = started([*launch, script(tmp_path, FIT)], tmp_path/"n.pt", "points", "float64", 32)
    assert "was asked for 2 processes and has started one" in said and "torchrun --standalone" in said


PARTS = """
out, kind, dtype, parts = sys.argv[1:5]
model, data = make(kind, dtype)
log = fit(model, data, steps=8, batch_size=16, scale=Scale(accumulate=int(parts)), device="cpu")
keep(out, model, log)
"""


@pytest.mark.parametrize("kind, dtype, eps", [("points", "float64", 1e-12), ("unet", "float64", 1e-12),
                                              ("unet", "float32", 1e-4), ("karras", "float64", 1e-12)])
def test_four_parts_are_the_large_batch(tmp_path, kind, dtype, eps):
    "In one process, and each share of two processes in two parts."
    path = script(tmp_path, PARTS)
    for name, parts in (("1.pt", 1), ("4.pt", 4)):
        started([sys.executable, path], tmp_path/name, kind, dtype, parts)
    started([*torchrun(2, "--standalone"), path], tmp_path/"n.pt", kind, dtype, 2)
    close(torch.load(tmp_path/"1.pt"), torch.load(tmp_path/"4.pt"), eps)
    close(torch.load(tmp_path/"1.pt"), torch.load(tmp_path/"n.pt"), eps)


RUN = """
out, dtype, run, upto = sys.argv[1:5]
from ddpm_edu.training import Run
def stop(states):
    for s in states:
        if s.step == int(upto): raise KeyboardInterrupt
        yield s
model, data = make("unet", dtype)
loader = torch.utils.data.DataLoader(list(zip(*data[:])), 16, shuffle=True)      # its order is torch's chance
log = fit(model, loader, steps=14, device="cpu", run=None if run == "none" else Run(run, every=3),
          stages=[stop])
keep(out, model, log)
say("the end of", "main" if main_process() else "other", log["steps"], len(log["loss"]))
"""


@pytest.mark.parametrize("dtype, eps", [("float64", 1e-12), ("float32", 1e-4)])
def test_a_run_of_two_processes_goes_on_as_if_nothing_had_happened(tmp_path, dtype, eps):
    path, two = script(tmp_path, RUN), torchrun(2, "--standalone")
    started([sys.executable, path], tmp_path/"1.pt", dtype, "none", 99)
    first = started([*two, path], tmp_path/"a.pt", dtype, tmp_path/"zoo/run", 8)
    assert "the end of main 8 8" in first and "the end of other 8 8" in first
    said = started([*two, path], tmp_path/"n.pt", dtype, tmp_path/"zoo/run", 99)
    assert said.count("going on from step 8") == 1 and said.count("checkpoints") == 1     # one of them writes
    close(torch.load(tmp_path/"1.pt"), torch.load(tmp_path/"n.pt"), eps)
    rows = (tmp_path/"zoo/run/history.csv").read_text().splitlines()
    assert [int(r.split(",")[0]) for r in rows[1:]] == list(range(1, 15))
    # and a single process takes up what two have left
    started([sys.executable, path], tmp_path/"b.pt", dtype, tmp_path/"zoo/run", 99)
    close(torch.load(tmp_path/"1.pt"), torch.load(tmp_path/"b.pt"), eps)


UNSEEDED = """
out = sys.argv[1]
model, data = make("points")
import os
set_seed(int(os.environ.get("RANK", 0)))                                # other weights and noise in each
for p in model.parameters(): p.data.normal_()
log = fit(model, data, steps=5, batch_size=32, device="cpu")
mine = torch.cat([p.flatten() for p in model.parameters()])
from accelerate.utils import gather
assert torch.equal(*gather(mine[None].contiguous()).unbind())
keep(out, model, log)
"""


def test_the_weights_and_chance_of_the_main_process_count(tmp_path):
    "Whoever seeds nothing gets one model all the same, and the other process has the averaged weights too."
    started([*torchrun(2, "--standalone"), script(tmp_path, UNSEEDED)], tmp_path/"n.pt")
    assert len(torch.load(tmp_path/"n.pt")["loss"]) == 5


SIGNAL = """
out, run = sys.argv[1:3]
model, data = make("points")
def slowly(states):
    for s in states:
        if s.step == 3: print("three steps", flush=True)
        time.sleep(.05); yield s
log = fit(model, data, steps=10_000, batch_size=32, device="cpu", run=run, stages=[slowly])
raise AssertionError("went on after SIGTERM")
"""


def test_a_signal_to_all_of_them_leaves_one_whole_checkpoint(tmp_path):
    "As a batch system does it: the launcher and both processes get it, and the launcher passes it on."
    process = subprocess.Popen([*map(str, torchrun(2, "--standalone")), script(tmp_path, SIGNAL),
                                tmp_path/"n.pt", tmp_path/"zoo/run"], env=environment(), text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
    for line in process.stdout:
        if "three steps" in line: break
    time.sleep(.3)
    os.killpg(process.pid, signal.SIGTERM)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and "went on" not in rest and "checkpoint" in rest, rest
    found = [p.name for p in (tmp_path/"zoo/run").iterdir() if p.name.isdecimal()]
    assert len(found) == 1 and int(found[0]) >= 3


SAMPLES = """
out = sys.argv[1]
from ddpm_edu import load
model = load("digits_guided", device="cpu")
x = sample_across(model, 7, "any", 2., seed=5, n_steps=4, batch_size=2)
y = sample_across(model, 1, 3, seed=6, n_steps=2, sampler="ddpm")              # one sample, two processes
if main_process(): torch.save((x, y), out)
"""


def test_samples_are_those_of_one_process(tmp_path):
    (x, y), (v, w) = compare(tmp_path, SAMPLES)
    assert x.shape == (7, 1, 28, 28) and torch.allclose(x, v, atol=1e-4) and torch.allclose(y, w, atol=1e-4)


NOISE = """
out = sys.argv[1]
model, data = make("points")
from ddpm_edu.training import Scale, NoiseScale, gradient_norms
class Still(torch.nn.Module):
    "Without chance, so that parts can be compared."
    def __init__(self): super().__init__(); self.w = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    def loss(self, x, y=None): return (self.w - x).square().mean(1)
still, norms, scale = Still(), [], NoiseScale(16, 32, beta=.9)
x = data.x.double()[:32]
fit(still, [x], steps=1, device="cpu", scale=Scale(norms=norms), average=False)
small, large = gradient_norms(Still(), x, n_small=16)
if main_process():
    assert abs(norms[0][0] - small) < 1e-12 and abs(norms[0][1] - large) < 1e-12, (norms, small, large)
    assert scale.update(*norms[0]) > 0
    torch.save(norms, out)
"""


def test_the_noise_scale_gets_its_two_norms(tmp_path):
    started([*torchrun(2, "--standalone"), script(tmp_path, NOISE)], tmp_path/"n.pt")
    assert len(torch.load(tmp_path/"n.pt")) == 1


HALF = """
out, precision, run, steps = sys.argv[1:5]
from ddpm_edu.training import Run, Scale
model, data = make("unet", "float32")
log = fit(model, data, steps=int(steps), batch_size=16, device="cpu", rate="constant",
          run=None if run == "none" else Run(run), scale=Scale(precision, loss_scale=2.**24, period=4))
keep(out, model, log)
"""


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_in_two_processes_and_resumed(tmp_path, precision):
    "Skipped steps are counted alike; what the loss is multiplied with is in the checkpoint."
    path, two = script(tmp_path, HALF), torchrun(2, "--standalone")
    started([*two, path], tmp_path/"n.pt", precision, "none", 14)
    for steps in (9, 14): started([*two, path], tmp_path/"r.pt", precision, tmp_path/"zoo/run", steps)
    whole, resumed = torch.load(tmp_path/"n.pt"), torch.load(tmp_path/"r.pt")
    close(whole, resumed, 0)
    assert (whole["skipped"] > 0) == (precision == "fp16")
    from ddpm_edu.training import read_checkpoint
    assert (read_checkpoint(tmp_path/"zoo/run").state["loss_scale"] is not None) == (precision == "fp16")


DRY = """
out = sys.argv[1]
model, data = make("points")
warnings.simplefilter("ignore")
log = fit(model, iter([data.x[:32].double()] * 3), steps=9, device="cpu")
keep(out, model, log)
say("the end of", "main" if main_process() else "other", log["steps"])
"""


def test_data_may_run_dry(tmp_path):
    said = started([*torchrun(2, "--standalone"), script(tmp_path, DRY)], tmp_path/"n.pt")
    assert "the end of main 3" in said and "the end of other 3" in said


SAMPLE = """
import sys
from ddpm_edu.using.drawing_commands import ddpm_sample
from ddpm_edu.using.measuring_commands import ddpm_eval
out = sys.argv[1]
shared = ["digits_guided", "--labels", "any", "--steps", "2", "--seed", "3", "--device", "cpu"]
code = ddpm_sample.main([*shared, "-n", "3x5", "-o", out])
sys.exit(code or ddpm_eval.main([*shared, "-n", "120", "--likelihood", "0"]))
"""


def test_commands_draw_and_measure_across_processes(tmp_path):
    "One sheet, one table, by the main process, as one process makes them."
    path = tmp_path/"script.py"; path.write_text(SAMPLE, encoding="utf-8")
    one = started([sys.executable, path], tmp_path/"1.png")
    two = started([*torchrun(2, "--standalone"), path], tmp_path/"2.png")
    a, b = (np.asarray(Image.open(tmp_path/f"{k}.png"), int) for k in (1, 2))
    assert a.shape == b.shape and abs(a - b).max() <= 1
    row = re.compile(r"^(fld|kid|precision|recall) +(\S+)", re.M)
    table = lambda said: [(k, float(v)) for k, v in row.findall(said)]
    assert len(table(one)) == len(table(two)) == 4                     # told once
    for (k, v), (_, w) in zip(table(one), table(two)): assert abs(v - w) <= .02 * abs(v) + .01, k
