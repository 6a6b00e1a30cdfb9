"Without extras: everything imports and works, and what is missing says how to get it."
import importlib

import pytest
import torch
from ddpm_edu import fit, load, spiral
from ddpm_edu.data import hub_data
from ddpm_edu.denoising import BrownianNoise, log_likelihood, open_clip_encoders
from ddpm_edu.training import TensorBoard, Trackio, WandB, from_artifact

FLOORS = "data", "denoising", "networks", "models", "training", "measuring", "sprites", "using", "viz"


@pytest.mark.parametrize("floor", FLOORS)
def test_every_name_can_be_had(floor):
    door = importlib.import_module(f"ddpm_edu.{floor}")
    assert all(hasattr(door, name) for name in door.__all__)


@pytest.mark.parametrize("package",
                         ["torchdiffeq", "torchsde", "datasets", "open_clip", "accelerate", "nbdev",
                          "diffusers", "tensorboard", "wandb", "trackio", "torch_fidelity"])
def test_nothing_more_is_here(package):
    with pytest.raises(ImportError): importlib.import_module(package)


def test_a_model_that_ships_draws():
    assert load("digits_guided", device="cpu").sample(1, 3, n_steps=4, seed=0).isfinite().all()


def several():
    "As in a process that torchrun has started."
    with pytest.MonkeyPatch.context() as m:
        m.setenv("WORLD_SIZE", "2")
        fit(load("spirals", device="cpu"), spiral(100), steps=1, device="cpu")


@pytest.mark.parametrize("call, line", [
    (lambda: hub_data("mnist", 28), "pip install datasets"),
    (lambda: log_likelihood(load("spirals", device="cpu").denoiser(), torch.zeros(2, 2), .1, 10.),
     "pip install torchdiffeq"),
    (lambda: BrownianNoise(0, 2)(torch.zeros(2, 2), 2., 1.), "pip install torchsde"),
    (open_clip_encoders, "pip install open_clip_torch"),
    (lambda: TensorBoard("events"), "pip install tensorboard"),
    (lambda: WandB("mine"), "pip install wandb"),
    (lambda: from_artifact("me/mine/model:v0"), "pip install wandb"),
    (lambda: Trackio("mine"), "pip install trackio")])
def test_what_is_missing_says_how_to_get_it(call, line):
    with pytest.raises(ImportError, match=line): call()
