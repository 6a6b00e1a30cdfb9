"""Mistakes that other libraries made, one test each: the right value, and that the mistake would give another
one."""
from functools import partial

import pytest
import torch
from ddpm_edu import SAMPLERS, GaussianDiffusion, PointNet, UNet, cosine_beta_schedule, digits, fit, fld
from ddpm_edu import linear_beta_schedule
from ddpm_edu.core import expand
from ddpm_edu.denoising import ancestral_split, ddim, diffusion_buffers, final, static_threshold
from ddpm_edu.training import ema_decay


class Writes(torch.nn.Module):
    "Writes the label that it is told, divided by ten, into every place."
    num_classes = 10

    def forward(self, x, t, y=None):
        y = torch.full((len(x),), -1) if y is None else y
        return expand(y / 10, x).expand_as(x)


def labelled(T=20):
    "An untrained model of small labelled images."
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = UNet(1, 8, T, (1, 2), middle_attention=False, num_classes=10)
    return GaussianDiffusion(net, cosine_beta_schedule(T), (1, 8, 8), p_uncond=.1).eval()


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_ddim_adds_no_noise_unless_it_is_asked_to():
    "Trap: η = 1 by default, so that what is called DDIM is DDPM."
    model, z, grid = labelled(), noise(2, 1, 8, 8), torch.tensor([5., 1., 0.])
    def never(x): raise AssertionError("fresh noise was asked for")
    assert final(ddim(lambda x, sigma: x / 2, z, grid, noise_sampler=never)).isfinite().all()
    ways = (lambda seed, **eta: model.sample(2, 3, noise=z, seed=seed, sampler="ddim", n_steps=4, **eta),
            lambda seed, **eta: model.ddim_sample_loop(4, 2, 3, noise=z, seed=seed, **eta),
            lambda seed, **eta: model.ddim_sample(z, 19, 9, noise=noise(2, 1, 8, 8, seed=seed), **eta)[0])
    for way in ways:
        assert torch.equal(way(1), way(2)) and torch.equal(way(1), way(2, eta=0.))
        assert not torch.allclose(way(1, eta=1.), way(2, eta=1.), atol=1e-3)


@pytest.mark.parametrize("T", [20, 1000])
def test_the_step_before_the_first_is_clean_data(T):
    "Trap: `alphas_cumprod[t - 1]` at t = 0 reads the last entry, the noisiest level, where it ought to be 1."
    model, x0, x = GaussianDiffusion(PointNet(T), cosine_beta_schedule(T),
                                     (2,)), noise(3, 2), noise(3, 2, seed=1)
    t = torch.zeros(3, dtype=torch.long)
    mean, variance, log_variance = model.q_posterior_mean_variance(x0, x, t)
    torch.testing.assert_close(mean, x0)
    assert variance.eq(0).all() and log_variance.lt(-46).all() # log 1e-20
    beta, ac = model.betas[0], model.alphas_cumprod
    trap = (beta * ac[t - 1].sqrt()[:, None] / (1 - ac[0]) * x0
            + (1 - ac[t - 1])[:, None] * (1 - beta).sqrt() / (1 - ac[0]) * x)
    assert not torch.allclose(trap, x0, atol=.1)


@pytest.mark.parametrize("schedule", [linear_beta_schedule, cosine_beta_schedule])
def test_ddim_with_all_noise_has_the_variance_of_the_posterior(schedule):
    "At η = 1, every step taken, DDIM adds noise of variance β̃; traps: a misread equation 16, and β itself."
    b = diffusion_buffers(schedule(100))
    for t in range(1, 100):
        ac, prev = b["alphas_cumprod"][t].item(), b["alphas_cumprod_prev"][t].item()
        # back from data at full size
        up = ancestral_split(((1 - ac) / ac)**.5, ((1 - prev) / prev)**.5, 1.)[1] * prev**.5
        assert up**2 == pytest.approx(b["posterior_variance"][t].item(), rel=1e-6)
        # the root of (1-ᾱ)/ᾱ' where equation 16 has 1 - ᾱ/ᾱ'
        assert up < .9 * ((1 - prev) / (1 - ac))**.5 * ((1 - ac) / prev)**.5
    assert b["posterior_variance"][1] < .8 * b["betas"][1]


@pytest.mark.parametrize("s, s2", [(80., 20.), (2., .5), (.1, 0.)])
def test_eulers_method_is_ddim_without_noise(s, s2):
    """Euler's step in σ, the whole slope times the whole way, is equation 12 of DDIM in other coordinates;
    half a step is not."""
    D, x = lambda x, sigma: torch.tanh(x / 2), noise(5, 3).double() * s
    x0, (a, a2) = D(x, s), ((1 + v**2)**-.5 for v in (s, s2))  # a = √ᾱ
    step = x + (s2 - s) * (x - x0) / s
    eps = (a * x - a * x0) / (1 - a**2)**.5
    torch.testing.assert_close(step, (a2 * x0 + (1 - a2**2)**.5 * eps) / a2)
    for name in ("euler", "ddim"):
        torch.testing.assert_close(final(SAMPLERS[name](D, x, torch.tensor([s, s2], dtype=torch.float64))),
                                   step)
    assert not torch.allclose(step, x + (s2 - s) / 2 * (x - x0) / s, atol=1e-3)


def test_a_label_is_the_number_of_the_class():
    """Trap: labels counted from 1 where 1 means none: asking for 1 ... 10 then draws nothing in particular, 0
    ... 8, and never a 9."""
    model, asked = GaussianDiffusion(Writes(), cosine_beta_schedule(10),
                                     (2,), "x0", threshold=None), torch.arange(10)
    options = dict(sampler="ddim", n_steps=2, seed=0)
    seen, none = model.sample(10, range(10), **options)[:, 0] * 10, model.sample(2, **options) * 10
    torch.testing.assert_close(seen, asked.float()); torch.testing.assert_close(none, torch.full((2, 2), -1.))
    torch.testing.assert_close(model.sample(2, 9, **options) * 10, torch.full((2, 2), 9.))
    assert not torch.allclose(seen, asked - 1.) # the trap
    # trained on each class's own picture, it has nothing to learn
    pairs = model.loss(expand(asked / 10., 2).expand(10, 2), asked)
    assert pairs.max() < 1e-12 < model.loss(expand((asked - 1) / 10., 2).expand(10, 2), asked).min()
    D = model.denoiser(2.)(noise(10, 2), torch.ones(10), y=asked)[:, 0] * 10 # guided: -1 + 2(c + 1)
    torch.testing.assert_close(D, 2. * asked + 1)


def test_guidance_of_one_is_the_conditional_model_to_the_last_bit():
    """Trap: at s = 1 the formula u + s(c - u) is c in theory, but not in floating-point numbers, and costs a
    second call."""
    model, x, y = labelled(), noise(4, 1, 8, 8), torch.tensor([0, 3, 9, -1])
    sigma = torch.tensor([.05, .5, 3., 20.])
    with torch.no_grad():
        c, u = model.denoise(x, sigma, y), model.denoise(x, sigma, -torch.ones_like(y))
        assert torch.equal(model.denoiser(1., threshold=None)(x, sigma, y=y),
                           c) and not torch.equal(u + 1. * (c - u), c)
    plain = partial(static_threshold(model.denoise), y=y)
    kept = final(ddim(plain, model.start(x, model.levels(4)[0].item()), model.levels(4)))
    assert torch.equal(model.sample(4, y, 1., noise=x, sampler="ddim", n_steps=4), kept)


@pytest.mark.parametrize("power, steps", [(2 / 3, 31_622), (3 / 4, 10_000)])
def test_the_warm_up_of_the_average_takes_as_long_as_they_say(power, steps):
    """A decay of 0.999 is reached after 31.6 thousand steps with the power 2/3, and after ten thousand with
    3/4."""
    assert ema_decay(steps - 5, 1., power) < .999 <= ema_decay(steps + 5, 1., power)


def test_the_distance_of_images_to_themselves_is_nothing():
    """Trap: the root of a product of singular covariances by a general routine is complex, and its distance
    below 0."""
    x = digits(train=False).x[:100]
    assert 0 <= fld(x, x) < 1e-6


@pytest.mark.parametrize("labels",
                         [[.5, 1.5], 1.5, torch.tensor([0., 1.]), torch.tensor([True, False]), [0, None]])
def test_labels_that_are_no_whole_numbers(labels):
    "Trap: rounding them in silence."
    for scale in (1., 2.):
        with pytest.raises(ValueError, match="whole numbers"): labelled().sample(2, labels, scale, n_steps=1)


@pytest.mark.parametrize("labels", ["cat", ["a", "b"], ["7", "nine"]])
def test_names_that_no_class_has(labels):
    "Trap: a name that is taken for something else; it lists the names there are."
    model = labelled()
    with pytest.raises(ValueError, match="no class .*names no classes: ask by number"):
        model.sample(2, labels, n_steps=1)
    model.card = dict(classes=list("0123456789"))
    with pytest.raises(ValueError, match="no class .*: this model's classes are 0, 1, 2"):
        model.sample(2, labels, n_steps=1)


@pytest.mark.parametrize("labels", [[.5, 1.5], 1.5, torch.tensor([0., 1.]), torch.tensor([True, False])])
def test_training_labels_that_are_no_whole_numbers(labels):
    "Trap: rounding them in silence."
    y = torch.as_tensor(labels).expand(2)
    with pytest.raises(TypeError, match="integers"):
        fit(labelled(), [(noise(2, 1, 8, 8).clamp(-1, 1), y)], steps=1, device="cpu")
