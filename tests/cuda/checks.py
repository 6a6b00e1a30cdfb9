"""What a device must do as the CPU does it: each check takes the device and gives what `test_cuda.py`
compares; the cells of the notebooks that are flagged `cuda` call the same functions. With device "cpu"
equality is no surprise, but the code runs. Needs torch, numpy, einops, fastcore,
matplotlib, Pillow, safetensors, tqdm and lazy_loader; no network, no nbdev."""
import itertools
from copy import deepcopy

import torch
from ddpm_edu.core import set_seed
from ddpm_edu.data import TensorData, digits
from ddpm_edu.denoising import (SAMPLERS, cosine_beta_schedule, exact_denoiser, log_likelihood,
                                mixture_denoiser)
from ddpm_edu.models import GaussianDiffusion, KarrasDiffusion, load
from ddpm_edu.networks import UNet
from ddpm_edu.training import (Scale, Scaling, adam, ema, estimate, fit, history, products, random_state,
                                train)


def unet(): return UNet(1, 8, 100, (1, 2), num_classes=10, block_groups=2)


def models():
    "One of each kind, with the same first weights at each call."
    set_seed(0)
    gaussian = GaussianDiffusion(unet(), cosine_beta_schedule(100), (1, 28, 28), p_uncond=.1)
    karras = KarrasDiffusion(unet(), (1, 28, 28), p_uncond=.1)
    return {"GaussianDiffusion": gaussian, "KarrasDiffusion": karras}


def exact(device):
    "The exact denoiser of labelled points, asked where `x` is."
    x, n = torch.randn(300, 2, generator=torch.Generator().manual_seed(0)), torch.arange(5)
    answer = exact_denoiser(x, labels=torch.arange(300) % 2)(
        x[:5].to(device), torch.ones(5, device=device), (n % 2).to(device))
    assert answer.device.type == torch.device(device).type
    return answer.cpu()


def likelihood(device):
    "Log-densities under the exact denoiser of three clouds, in double precision; needs torchdiffeq."
    centres = torch.tensor([[-.5, 0.], [.5, .2], [0., .6]], dtype=torch.float64)
    D = mixture_denoiser(centres, centres.new_tensor([.1, .2, .1]), centres.new_tensor([.2, .3, .5]))
    nats, _ = log_likelihood(D, (centres + .1).to(device), .01, 80., trace="exact", rtol=1e-8, atol=1e-8)
    assert nats.device.type == torch.device(device).type
    return nats.cpu()


def moved(name, device):
    "An untrained model that was sent to the device: its loss is there, and its samples, which come back."
    model = models()[name].to(device)
    x, there = model.sample(4, 7, seed=1, n_steps=10), torch.device(device).type
    assert x.device.type == there
    assert model.loss(torch.zeros(4, 1, 28, 28, device=device)).device.type == there
    return x.cpu()


def fitted(device):
    "Twenty steps of `fit`: the loss, and the kinds of device of the weights and of a sample afterwards."
    model = models()["GaussianDiffusion"]
    log = fit(model, digits(), steps=20, device=device)
    return log["loss"], {p.device.type for p in model.parameters()} | {model.sample(4, 7, seed=0).device.type}


def one_step(name, device):
    "Loss, gradient and weights after a step of plain descent; noise and times come from the CPU."
    model, g = models()[name].to(device), torch.Generator().manual_seed(1)
    x, y = digits()[:32]
    x, y, noise = x.to(device), y.to(device), torch.randn(x.shape, generator=g).to(device)
    if name == "GaussianDiffusion":
        loss = model.p_losses(x, torch.randint(100, (32,), generator=g).to(device), noise, y)
    else: loss = model.loss_at(x, torch.rand(32, generator=g).mul(3).add(.1).to(device), noise, y)
    opt = torch.optim.SGD(model.parameters(), .1)
    loss.mean().backward()
    gradient = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]).cpu()
    opt.step()
    return loss.detach().cpu(), gradient, torch.cat([p.detach().flatten().cpu() for p in model.parameters()])


def sampled(sampler, device):
    "Eight digits by a trained model, guided, in six steps."
    return load("digits_guided", device=device).sample(8, list(range(8)), 2., sampler, 6, seed=3).cpu()


def hundred_digits(device):
    "As a user draws them: the model's own way of sampling, in batches."
    y = torch.arange(100) % 10
    return load("digits_guided", device=device).sample(100, y, 2., seed=0, batch_size=64).cpu()


def others(name, device, n=4):
    "Samples of another model that ships: clothes, points, sprites."
    return load(name, device=device).sample(n, seed=1, n_steps=8).cpu()


def trained(device, precision=None, steps=30, tf32=None, **how):
    "A training of some steps: its history and its averaged model."
    set_seed(0)
    model, log = models()["GaussianDiffusion"].to(device), {}
    scaling = Scaling(Scale(precision, **how), device) if precision else None
    with products(tf32):
        states = ema(train(model, digits(), 2e-3, 64, scaling=scaling), .9)
        *_, last = itertools.islice(history(states, log), steps)
    return log, last, scaling


def resumed(device):
    "Weights after eight steps in one go, and after three and five by way of the CPU's memory."
    def go(model, k, **how): return [*itertools.islice(train(model, data, batch_size=16, **how), k)][-1]
    x, y = digits()[:100]
    data = TensorData(x, y)
    set_seed(4); whole = go(models()["GaussianDiffusion"].to(device), 8)
    set_seed(4); s = go(models()["GaussianDiffusion"].to(device), 3)
    weights, moments = deepcopy(s.model.cpu().state_dict()), deepcopy(s.opt.state_dict())
    place = deepcopy(s.place); place.now = random_state()
    set_seed(9)
    model = models()["GaussianDiffusion"]; model.load_state_dict(weights); model.to(device)
    opt = adam(model); opt.load_state_dict(moments)
    start = deepcopy(s); start.place = place
    again = go(model, 5, opt=opt, start=start)
    return [{k: v.cpu() for k, v in m.state_dict().items()} for m in (whole.model, again.model)]


def same_noise(device):
    "Seeded noise, drawn on the CPU and sent, as the sampler gets it."
    from ddpm_edu.core import randn_like_seeded
    return randn_like_seeded(torch.empty(5, 3, 8, 8, device=device), 7).cpu()


def told(device):
    "What a training will need, as it is printed."
    return estimate(models()["GaussianDiffusion"].to(device), 64, 100)


def equal(name, device, *args, atol=1e-3):
    "Raise unless the device gives what the CPU gives, but for rounding."
    check = globals()[name]
    torch.testing.assert_close(check(*args, device), check(*args, "cpu"), atol=atol, rtol=0)


ALL = tuple(SAMPLERS)
