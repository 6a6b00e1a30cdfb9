"The extra `solvers`: a likelihood that holds its tolerance, and Brownian paths."
import math

import torch
from ddpm_edu import load
from ddpm_edu.denoising import BrownianNoise, log_likelihood, mixture_denoiser, mixture_log_prob


def test_the_likelihood_of_a_mixture_is_exact():
    means, stds = torch.tensor([[-1., 0.], [1., 0.]]).double(), torch.tensor([.5, .7]).double()
    x = torch.randn(5, 2, generator=torch.Generator().manual_seed(0)).double()
    found, _ = log_likelihood(mixture_denoiser(means, stds),
                              x, 1e-3, 200., trace="exact", rtol=1e-6, atol=1e-6)
    right = mixture_log_prob(x, torch.full((5,), 1e-3).double(), means, stds)
    torch.testing.assert_close(found, right, rtol=0, atol=2e-3)


def test_a_path_is_one_path_and_its_parts_add_up():
    x = torch.zeros(3, 2)
    path, time = BrownianNoise(0, 3), math.log                    # the paths run in ln σ
    move = lambda s, s2: path.between(x, s, s2) * (time(s) - time(s2))**.5
    torch.testing.assert_close(move(4., 1.), move(4., 2.) + move(2., 1.), rtol=0, atol=1e-3)
    assert torch.equal(BrownianNoise(0, 3).between(x, 4., 1.), path.between(x, 4., 1.))
    model = load("spirals", device="cpu")
    assert model.sample(4, n_steps=4, seed=0, sampler="dpmpp_sde").isfinite().all()
