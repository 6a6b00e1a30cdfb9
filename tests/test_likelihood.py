"""Our log-likelihood is k-diffusion's (0.1.1.post1), number for number and call for call;
oracles/make_kdiffusion.py made the numbers."""
from pathlib import Path

import pytest
import torch
from ddpm_edu.denoising import exact_denoiser, log_likelihood, mixture_denoiser
from safetensors.torch import load_file

RUNS, ANSWERS = (load_file(Path(__file__).parent/"oracles"/f"kdiffusion_{name}.safetensors")
                 for name in ("samplers", "models"))
MODELS = {"points": exact_denoiser(RUNS["points"]),
          "mixture": mixture_denoiser(RUNS["means"], RUNS["stds"], RUNS["weights"]),
          "gaussian": mixture_denoiser(torch.full((1, 1, 2, 2), .2).double(), .4)}


def ask(model, tol, probes):
    x = ANSWERS[f"likelihood/{model}/x"]
    assert x.dtype == torch.float64
    return log_likelihood(MODELS[model], x, .05, 20., probes=probes, rtol=tol, atol=tol)


@pytest.mark.parametrize("model", MODELS)
def test_likelihood(model):
    v = ANSWERS[f"likelihood/{model}/v"][None]
    for kind, tol in (("loose", 1e-4), ("tight", 1e-9)):
        nats, calls = ask(model, tol, v)
        # theirs adds ln σ_max in float32
        torch.testing.assert_close(nats, ANSWERS[f"likelihood/{model}/{kind}"], rtol=0, atol=1e-6)
        if kind == "loose": assert calls == ANSWERS[f"likelihood/{model}/calls"].item()


def test_the_comparison_can_fail():
    "Other signs are seen."
    v = ANSWERS["likelihood/mixture/v"][None].clone()
    v[0, :, 0, 0, 0] *= -1
    assert (ask("mixture", 1e-4, v)[0] - ANSWERS["likelihood/mixture/loose"]).abs().max() > 1e-3
