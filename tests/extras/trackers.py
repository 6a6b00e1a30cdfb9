"""The extra `trackers`: TensorBoard and, offline, Weights & Biases; what they wrote is read back. A run that
was interrupted goes on as the same run, and nobody is asked for a key."""
import itertools
import json
import os
import pty
import struct
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import torch
from ddpm_edu import GaussianDiffusion, fit, load, set_seed
from ddpm_edu.data import spiral
from ddpm_edu.denoising import cosine_beta_schedule
from ddpm_edu.networks import PointNet
from ddpm_edu.training import Run, TensorBoard, WandB, read_checkpoint, track

KEYS = "WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_DIR"


@pytest.fixture(scope="module")
def of_wandb(tmp_path_factory): return tmp_path_factory.mktemp("wandb")       # it reads its variables once


@pytest.fixture(autouse=True)
def nothing_of_the_user(tmp_path, of_wandb, monkeypatch):
    "No key, no settings, and files go to folders of the tests."
    for name in KEYS: monkeypatch.delenv(name, raising=False)
    for name in ("CACHE", "CONFIG", "DATA"): monkeypatch.setenv(f"WANDB_{name}_DIR", str(of_wandb))
    monkeypatch.setenv("NETRC", str(of_wandb/"netrc"))
    monkeypatch.chdir(tmp_path)


def trained(run, to, at=None, steps=20, **switches):
    "A run with a tracker, a checkpoint every five steps, and a measurement every four; it may break down."
    set_seed(0)
    model = GaussianDiffusion(PointNet(20, 8), cosine_beta_schedule(20), (2,))
    own, calls = model.loss, itertools.count(1)
    def breaks(x0, y=None):
        if next(calls) == at: raise RuntimeError("out of memory")
        return own(x0, y)
    model.loss = breaks
    def measure(states):
        for s in states:
            if s.step % 4 == 0: s.measured["fld"] = 100. / s.step
            yield s
    sent = partial(track, to=to, **dict(metrics=1, samples=10, n=4, n_steps=2) | switches)
    fit(model, spiral(100, seed=0), steps=steps, batch_size=10, device="cpu", run=Run(run, every=5),
        stages=[measure, sent])
    return model


def twice(run, to, **switches):
    "A run that breaks down at step 13 and goes on from 10: the id is kept, and the model is whole."
    with pytest.raises(RuntimeError, match="out of memory"): trained(run, to(), at=13, **switches)
    model = trained(run, to(), **switches)
    return model, read_checkpoint(run).state["kept"]["trackers"]


def test_tensorboard_shows_each_step_once(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    folder = tmp_path/"zoo/a/events"
    _, ids = twice(tmp_path/"zoo/a", lambda: TensorBoard(folder))
    assert list(ids) == ["tensorboard"] and len(list(folder.glob("events.*"))) == 2
    found = EventAccumulator(str(folder), {"scalars": 0, "images": 0, "tensors": 0}); found.Reload()
    assert [e.step for e in found.Scalars("loss")] == list(range(1, 21))
    assert {e.step: round(e.value, 4) for e in found.Scalars("fld")} == {
        k: round(100 / k, 4) for k in (4, 8, 12, 16, 20)}
    assert [e.step for e in found.Images("samples")] == [10, 20]
    picture = found.Images("samples")[0]
    assert picture.encoded_image_string[:4] == b"\x89PNG" and picture.width > 100
    assert b"PointNet" in found.Tensors("config/text_summary")[0].tensor_proto.string_val[0]
    assert {"lr", "grad_norm", "images_per_second", "epoch"} <= set(found.Tags()["scalars"])


def records(path):
    "What wandb wrote offline: records in LevelDB's format, 32 kB a block, each with crc, length and kind."
    from wandb.proto import wandb_internal_pb2 as pb
    b, at, part = path.read_bytes(), 7, b""
    assert b[:4] == b":W&B"
    while at + 7 <= len(b):
        left = 32768 - at % 32768
        if left < 7: at += left; continue
        _, n, kind = struct.unpack("<IHB", b[at:at + 7])
        part += b[at + 7:at + 7 + n]; at += 7 + n
        if kind in (1, 4): yield pb.Record.FromString(part); part = b""       # whole, or the last part of one


def history(path):
    "What was logged, line by line."
    for r in records(path):
        if r.WhichOneof("record_type") == "history":
            yield {i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in r.history.item}


def test_wandb_offline_is_one_run_in_two_parts(tmp_path):
    model, ids = twice(tmp_path/"zoo/a", lambda: WandB("spirals", name="mine"), final=True)
    parts = sorted(tmp_path.glob("wandb/offline-run-*"), key=lambda p: p.stat().st_mtime)
    names = [p.name.split("-", 3)[-1] for p in parts]    # one that began in the same second ends in -1
    assert [name.removesuffix("-1") for name in names] == [ids["wandb"]] * 2
    first, second = (list(history(next(p.glob("*.wandb")))) for p in parts)
    steps = lambda lines, name: [line["step"] for line in lines if name in line]
    assert steps(first, "loss") == list(range(1, 13)) and steps(second, "loss") == list(range(11, 21))
    measured = {line["step"]: line["fld"] for line in second if "fld" in line}
    assert measured == {k: 100 / k for k in (12, 16, 20)}
    assert steps(first, "samples.path") == [10] and steps(second, "samples.path") == [20]
    picture = next(line["samples.path"] for line in second if "samples.path" in line)
    assert (parts[1]/"files"/picture).read_bytes()[:4] == b"\x89PNG"
    kinds = {r.WhichOneof("record_type"): r for r in records(next(parts[1].glob("*.wandb")))}
    run, artifact = kinds["run"].run, kinds["artifact"].artifact
    config = {c.key: json.loads(c.value_json) for c in run.config.update}
    assert (run.run_id, run.project, run.display_name) == (ids["wandb"], "spirals", "mine")
    assert config["net"]["class"] == "PointNet" and config["parameters"] > 100
    assert (artifact.name, artifact.type) == (f"model-{ids['wandb']}", "model")
    stored = [Path(e.local_path) for e in artifact.manifest.contents if e.path == "model.safetensors"]
    assert torch.equal(load(stored[0], device="cpu").sample(2, seed=0), model.sample(2, seed=0))
    failed = [r.exit.exit_code for p in parts for r in records(next(p.glob("*.wandb")))
              if r.WhichOneof("record_type") == "exit"]
    assert failed == [1, 0]                                                  # the first broke down


def test_switches_are_separate(tmp_path):
    trained(tmp_path/"zoo/a", WandB("spirals", dir=str(tmp_path/"a")), steps=10, metrics=None)
    lines = list(history(next((tmp_path/"a").glob("wandb/offline-run-*/*.wandb"))))
    assert [set(line) >= {"samples.path", "step"} and "loss" not in line for line in lines] == [True]
    nothing = dict(metrics=None, samples=None)
    trained(tmp_path/"zoo/b", WandB("spirals", dir=str(tmp_path/"b")), steps=4, **nothing)
    assert not (tmp_path/"b").exists()                                       # and so it was never opened


def test_nobody_is_asked_for_a_key(tmp_path):
    "On a terminal, where wandb would ask."
    script = tmp_path/"script.py"
    script.write_text("\n".join([
        "from functools import partial", "from ddpm_edu import fit", "from ddpm_edu.data import spiral",
        "from ddpm_edu.models import spiral_model", "from ddpm_edu.training import WandB, track",
        "fit(spiral_model(), spiral(100), steps=2, device='cpu', stages=[partial(track, to=WandB('p'))])"]))
    ours, theirs = pty.openpty()
    env = {k: v for k, v in os.environ.items() if k != "CI"}
    done = subprocess.run([sys.executable, script], stdin=theirs, stdout=theirs, stderr=theirs, cwd=tmp_path,
                          env=env, timeout=120, check=False)
    os.close(theirs); os.close(ours)
    assert done.returncode == 0 and list(tmp_path.glob("wandb/offline-run-*"))
    with pytest.raises(ValueError, match="set WANDB_API_KEY"): WandB("p", mode="online")


def test_a_configuration_is_tracked(tmp_path):
    "The section `track` of a file of settings."
    from ddpm_edu.using import from_config
    told = ["train.steps=4", "train.minutes=null", "train.batch_size=8", "data.items=40", "sample.every=null"]
    from_config("spiral", *told, "track.to=tensorboard", "track.metrics=2", device="cpu").fit(tmp_path/"run")
    assert list((tmp_path/"run/events").glob("events*"))
    offline = ["track.to=wandb", "track.project=mine", "track.options.mode=offline",
               f"track.options.dir={tmp_path}"]
    from_config("spiral", *told, *offline, device="cpu").fit(tmp_path/"other")
    assert list((tmp_path/"wandb").glob("offline-run-*/*.wandb"))
    assert set(read_checkpoint(tmp_path/"other").state["kept"]["trackers"]) == {"wandb"}
