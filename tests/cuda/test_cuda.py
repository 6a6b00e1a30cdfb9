"""A GPU computes what the CPU computes. `make test-cuda`, or any Python with the few packages that
`checks.py` names: `python -m pytest tests/cuda`. Without CUDA all is skipped, for that one reason;
`DDPM_TEST_DEVICE=cpu` lets the code run here."""
import math
import os

import checks
import pytest
import torch
from ddpm_edu.training import products

DEVICE = os.environ.get("DDPM_TEST_DEVICE", "cuda")
if DEVICE.startswith("cuda") and not torch.cuda.is_available():
    pytest.skip("torch finds no CUDA device here", allow_module_level=True)


@pytest.fixture(autouse=True)
def full_precision():
    "Without TF32, which has three digits."
    with products(False): yield


@pytest.mark.parametrize("model", ["GaussianDiffusion", "KarrasDiffusion"])
def test_one_training_step(model):
    (loss, grad, weights), here = checks.one_step(model, "cpu"), checks.one_step(model, DEVICE)
    assert torch.allclose(loss, here[0], rtol=1e-4, atol=1e-5)
    assert (grad - here[1]).abs().max() <= 1e-3 * grad.abs().max()
    assert torch.allclose(weights, here[2], atol=1e-4)


@pytest.mark.parametrize("sampler", checks.ALL)
def test_every_sampler(sampler):
    "An adaptive step is taken or not by a comparison, which rounding can turn."
    gap = (checks.sampled(sampler, "cpu") - checks.sampled(sampler, DEVICE)).abs()
    assert gap.max() <= (.05 if sampler == "dpm_adaptive" else 1e-3)


def test_a_hundred_digits_by_their_seed(): checks.equal("hundred_digits", DEVICE)


@pytest.mark.parametrize("name", ["digits", "fashion", "spirals", "pokemon"])
def test_the_other_models_that_ship(name): checks.equal("others", DEVICE, name)


@pytest.mark.parametrize("name", ["GaussianDiffusion", "KarrasDiffusion"])
def test_a_model_moves_as_a_whole(name): checks.equal("moved", DEVICE, name)


def test_the_exact_denoiser(): checks.equal("exact", DEVICE, atol=1e-5)


def test_log_likelihood():
    pytest.importorskip("torchdiffeq")
    checks.equal("likelihood", DEVICE, atol=1e-6)


def test_fit_trains_where_it_is_told():
    loss, devices = checks.fitted(DEVICE)
    assert devices == {torch.device(DEVICE).type} and all(map(math.isfinite, loss)) and loss[-1] < loss[0]


def test_seeded_noise_is_the_same_to_the_last_bit(): checks.equal("same_noise", DEVICE, atol=0)


@pytest.mark.parametrize("precision", [None, "bf16", "fp16"])
def test_training_in_each_precision(precision):
    if precision == "fp16" and DEVICE == "cpu": pytest.skip("fp16 on a CPU takes minutes")
    log, last, _ = checks.trained(DEVICE, precision)
    assert log["steps"] == 30 and sum(log["loss"][-5:]) < .8 * sum(log["loss"][:5])
    assert all(p.dtype == torch.float32 and p.device.type == torch.device(DEVICE).type
               for p in last.ema.parameters())
    assert last.ema.sample(4, 1, seed=0, n_steps=5).isfinite().all()


def test_fp16_finds_a_factor_that_fits():
    if DEVICE == "cpu": pytest.skip("fp16 on a CPU takes minutes")
    _, last, scaling = checks.trained(DEVICE, "fp16", 40, loss_scale=2.**40)
    assert 0 < last.skipped < 40 and scaling.memory["loss_scale"] == 2.**(40 - last.skipped)


def test_tf32_trains_as_well():
    full, tf32 = (checks.trained(DEVICE, tf32=v)[0]["loss"] for v in (False, True))
    assert all(abs(a - b) < .1 * a for a, b in zip(full[:5], tf32))


def test_a_training_that_is_interrupted_goes_on():
    whole, again = checks.resumed(DEVICE)
    assert all(torch.allclose(v, again[k], atol=1e-5) for k, v in whole.items())


def test_what_a_training_will_need_is_told():
    e = checks.told(DEVICE)
    assert e.kept > 0 and e.seconds > 0 and "parameters" in str(e)
    if DEVICE.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        checks.trained(DEVICE, steps=3)
        assert .3 < (e.fixed + e.kept) / (torch.cuda.max_memory_allocated() - before) < 3
