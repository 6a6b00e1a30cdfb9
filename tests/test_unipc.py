"UniPC walks as diffusers' UniPCMultistepScheduler (B₂, data prediction) does, step by step, to 1e-9."
import pytest
import torch
from ddpm_edu import spiral
from ddpm_edu.denoising import exact_denoiser, mixture_denoiser, unipc
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

# diffusers asks NumPy in an old way
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
CLOUDS = torch.tensor([[.8, .3], [-.6, .5], [-.1, -.7]]).double()
MODELS = {"points": exact_denoiser(spiral(300).x.double()),
          "clouds": mixture_denoiser(CLOUDS, torch.tensor([.2, .25, .15]).double())}


def theirs(D, x, order, n, **options):
    "Every state of theirs, in variance-exploding coordinates, and its noise levels."
    options |= {"solver_order": order, "prediction_type": "sample",
                "solver_type": "bh2", "timestep_spacing": "trailing"}
    scheduler = UniPCMultistepScheduler(**options)
    scheduler.set_timesteps(n)
    s = scheduler.sigmas = scheduler.sigmas.double()
    root = (1 + s**2).sqrt()
    z, states = x * s[0] / root[0], [x * s[0]]
    for i, t in enumerate(scheduler.timesteps):
        z = scheduler.step(D(z * root[i], s[i].expand(len(z))), t, z).prev_sample
        states.append(z * root[i + 1])
    return states, s


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("options", [{}, {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}])
def test_step_by_step(model, order, options):
    for n in (1, 2, 3, 8, 20):
        x = torch.randn(16, 2, generator=torch.Generator().manual_seed(0)).double()
        states, s = theirs(MODELS[model], x, order, n, **options)
        steps = list(unipc(MODELS[model], states[0], s, order=order))
        assert len(steps) == n + 1 and steps[-1].nfe == n
        for a, b in zip(steps, states): torch.testing.assert_close(a.x, b, rtol=1e-9, atol=1e-9)
