"""The extra `trackio`: curves, samples and models in a data base on this machine, read back by its own
command, and its page."""
import json
import os
import subprocess
import sys
import urllib.request
from functools import partial

import pytest
import torch
from ddpm_edu import fit, load, set_seed
from ddpm_edu.data import spiral
from ddpm_edu.models import spiral_model
from ddpm_edu.training import Run, Trackio, read_checkpoint, track


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    "A run of twenty steps that was stopped at 8; its folder, model and id."
    home = tmp_path_factory.mktemp("home")
    os.environ |= {"TRACKIO_DIR": str(home/"trackio"), "HF_HUB_OFFLINE": "1"}
    def stopped(states, at):
        for s in states:
            if s.step == at: raise KeyboardInterrupt
            yield s
    for at in (8, None):
        set_seed(0); model = spiral_model()
        fit(model, spiral(100, seed=0), steps=20, batch_size=10, device="cpu", run=Run(home/"zoo/a"), stages=[
            partial(track, to=Trackio("spirals"), metrics=1, samples=10, n=4, n_steps=2, final=True),
            partial(stopped, at=at)])
    return home, model, read_checkpoint(home/"zoo/a").state["kept"]["trackers"]["trackio"]


def said(*command):
    "What Trackio's own command tells of the data base."
    done = subprocess.run([sys.executable, "-m", "trackio.cli", *command, "--json"], check=True, text=True,
                          stdout=subprocess.PIPE)
    return json.loads(done.stdout[done.stdout.index("{"):])


def test_the_data_base_has_one_run_with_each_step_once(tracked):
    import trackio
    home, _, id = tracked
    runs = list(trackio.Api().runs("spirals"))
    assert [r.name for r in runs] == [id] and runs[0].config["net"]["class"] == "PointNet"
    values = said("get", "metric", "--project", "spirals", "--run", id, "--metric", "loss")["values"]
    assert [v["step"] for v in values] == list(range(1, 21)) and all(0 < v["value"] < 10 for v in values)
    assert len(list((home/"trackio/media").rglob("*.png"))) == 2


def test_the_model_is_kept(tracked):
    home, model, _ = tracked
    blobs = [p for p in (home/"trackio/artifacts").rglob("*") if p.is_file() and p.stat().st_size > 1000]
    copies = [home/f"{i}.safetensors" for i, _ in enumerate(blobs)]
    for p, copy in zip(blobs, copies): copy.write_bytes(p.read_bytes())
    assert any(torch.equal(load(c, device="cpu").sample(2, seed=0), model.sample(2, seed=0)) for c in copies)


def test_its_page_opens(tracked):
    import trackio
    _, url, *_ = trackio.show("spirals", open_browser=False, block_thread=False)
    with urllib.request.urlopen(url, timeout=30) as page: assert b"rackio" in page.read()
