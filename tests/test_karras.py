"""`KarrasDiffusion` and its densities answer as k-diffusion's `layers.Denoiser` and `utils` do; it trains, is
saved and comes back.

oracles/make_kdiffusion.py made the numbers."""
import math
from pathlib import Path

import pytest
import torch
from ddpm_edu import KarrasDiffusion, PointNet, UNet, fit, load, set_seed, three_shapes
from ddpm_edu.models import karras
from safetensors.torch import load_file

ANSWERS = load_file(Path(__file__).parent/"oracles/kdiffusion_models.safetensors")
LOW, HIGH = .001, 1000.


class Edm(torch.nn.Module):
    """k-diffusion's test network, sin(3x + ln σ / 4), told our time; with `variance`, the mean of its input
    is the log-variance."""
    def __init__(self, variance):
        super().__init__()
        self.variance = variance

    def forward(self, x, t):
        log_sigma = math.log(LOW) + t / 999 * math.log(HIGH / LOW)
        out = torch.sin(3 * x + log_sigma.reshape(-1, 1, 1, 1) / 4)
        return torch.cat([out, x.mean(1, keepdim=True)], 1) if self.variance else out


@pytest.mark.parametrize("kind, loss", [("edm", "edm"), ("edm_simple", "simple"), ("edm_snr", "simple"),
                                        ("edm_soft_min_snr", "soft_min_snr"), ("edm_variance", "edm")])
def test_denoiser_and_losses_are_those_of_k_diffusion(kind, loss):
    variance = kind == "edm_variance"
    model = KarrasDiffusion(Edm(variance), (1, 2, 2), sigma_data=.5,
                            sigma_min=LOW, sigma_max=HIGH, loss=loss, learned_variance=variance)
    x, sigma, noise = (ANSWERS[f"wrappers/{k}"] for k in ("x", "sigma", "noise"))
    torch.testing.assert_close(model.denoise(x, sigma), ANSWERS[f"wrappers/{kind}"], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(model.loss_at(x, sigma, noise),
                               ANSWERS[f"wrappers/{kind}/loss"], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind, name, options", [
    ("lognormal", "lognormal", dict(mean=-1.2, std=1.2)),
    ("loguniform", "loguniform", dict(sigma_min=.01, sigma_max=80.)),
    ("loglogistic", "loglogistic", dict(loc=math.log(.5), scale=.5)),
    ("cosine", "cosine", dict(sigma_min=1e-3, sigma_max=1e3)),
    ("loglogistic_cut", "loglogistic", dict(sigma_data=.5, sigma_min=.01, sigma_max=10.))])
def test_densities_are_those_of_k_diffusion(kind, name, options):
    "(Its lognormal draws u from the middle 0.9999998 of the way from 0 to 1.)"
    ours = karras.DENSITIES[name](ANSWERS["densities/u"], **options)
    torch.testing.assert_close(ours, ANSWERS[f"densities/{kind}"],
                               rtol=1e-5 if kind == "lognormal" else 1e-9, atol=0)


def test_split_lognormal_is_that_of_k_diffusion():
    """It throws twice, for the half and for the place in it; ours is the density's quantile function, so both
    throws become one number."""
    u, z, r, Phi = ANSWERS["densities/u"], ANSWERS["densities/z"].abs(), .6 / (.6 + 1.5), torch.special.ndtr
    one = torch.where(u < r, 2 * r * Phi(-z), r + (1 - r) * (2 * Phi(z) - 1))
    ours = karras.split_lognormal(one, -1.2, .6, 1.5)
    torch.testing.assert_close(ours, ANSWERS["densities/split_lognormal"], rtol=1e-9, atol=0)


def test_it_trains_is_saved_and_comes_back(tmp_path):
    set_seed(0)
    model = KarrasDiffusion(PointNet(1000, 32, 3), (2,), sigma_max=20.,
                            density="split_lognormal", density_options=dict(mean=-2., std_2=2.),
                            loss="soft_min_snr", p_uncond=.2, threshold="dynamic")
    def fixed(m):
        set_seed(1)
        return m.loss(three_shapes(300).x, three_shapes(300).y)
    before = fixed(model).mean().item()
    assert fit(model, three_shapes(300), steps=200, lr=1e-2, device="cpu")["steps"] == 200
    assert fixed(model).mean().item() < .95 * before
    back = load(model.save(tmp_path/"m.safetensors", made_by="a test"), device="cpu")
    assert (type(back) is KarrasDiffusion and back.config == model.config
            and back.card == {"made_by": "a test"})
    options = dict(labels=[0, 1, 2, -1], guidance_scale=2., seed=0)
    assert torch.equal(back.sample(4, **options), model.sample(4, **options))
    assert torch.equal(fixed(model), fixed(back))


def test_a_learned_variance_is_saved_too(tmp_path):
    model = KarrasDiffusion(UNet(1, 8, 100, (1, 2), out_channels=2), (1, 8, 8), learned_variance=True)
    back = load(model.save(tmp_path/"m.safetensors"), device="cpu")
    assert back.learned_variance and torch.equal(back.sample(2, seed=0, n_steps=2),
                                                 model.sample(2, seed=0, n_steps=2))
    assert fit(model, [torch.zeros(2, 1, 8, 8)] * 2, epochs=1, device="cpu")["steps"] == 2
