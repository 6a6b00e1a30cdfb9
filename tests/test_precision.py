"""Models in every float type, and under autocast: all samplers, both kinds of model, thresholds, exact
denoisers and the likelihood are finite, and as near to float32 as the type allows."""
import pytest
import torch
from ddpm_edu import GaussianDiffusion, KarrasDiffusion, UNet, cosine_beta_schedule, load, set_seed
from ddpm_edu.denoising import SAMPLERS, dynamic_threshold, exact_denoiser, log_likelihood, mixture_denoiser
from ddpm_edu.denoising import static_threshold
from ddpm_edu.networks import PointNet
from ddpm_edu.training import fit
from torch import nn

HALF = {torch.float16: 2e-3, torch.bfloat16: .02}         # what a sample in [-1, 1] may be off, on average
TYPES = HALF | {torch.float64: 1e-4, "autocast": .02}
NAMES = [str(t).removeprefix("torch.") for t in TYPES]


def converted(model, kind):
    return model if kind == "autocast" else model.to(kind)


def under(kind):
    return torch.autocast("cpu", torch.bfloat16, enabled=kind == "autocast")


def models():
    "Small networks with weights of a reasonable size, one for each way of reading a network."
    set_seed(0)
    betas = cosine_beta_schedule(50)
    unet = lambda: UNet(1, 8, 50, (1, 2), num_classes=3)
    yield from ((o, GaussianDiffusion(unet(), betas, (1, 8, 8), o, p_uncond=.1)) for o in ("eps", "x0", "v"))
    yield "karras", KarrasDiffusion(unet(), (1, 8, 8), .5, p_uncond=.1)


@pytest.mark.parametrize("kind", TYPES, ids=NAMES)
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_shipped_points_by_every_sampler(sampler, kind):
    ask = lambda m: m.sample(64, sampler=sampler, n_steps=12, seed=0)
    exact = ask(load("spirals", device="cpu"))
    with under(kind): x = ask(converted(load("spirals", device="cpu"), kind))
    assert x.isfinite().all() and x.dtype == (torch.float64 if kind == torch.float64 else torch.float32)
    assert (x - exact).abs().mean() < TYPES[kind]


@pytest.mark.parametrize("kind", TYPES, ids=NAMES)
@pytest.mark.parametrize("which", ["eps", "x0", "v", "karras"])
@pytest.mark.parametrize("threshold", ["static", "dynamic", None])
def test_models_and_thresholds(which, threshold, kind):
    def ask(model): return model.denoiser(2., threshold)(x, sigma, y=y)
    x, sigma = torch.randn(6, 1, 8, 8), torch.tensor([.01, .1, 1., 5., 20., 60.])
    y = torch.tensor([0, 1, 2] * 2)
    exact = ask(dict(models())[which])
    with under(kind): near = ask(converted(dict(models())[which], kind))
    assert near.isfinite().all() and near.dtype == x.dtype
    scale = exact.flatten(1).abs().amax(1).clamp(min=1)
    assert ((near - exact).flatten(1).abs().mean(1) / scale).max() < 5 * TYPES[kind]


@pytest.mark.parametrize("kind", TYPES, ids=NAMES)
@pytest.mark.parametrize("which", ["eps", "x0", "v", "karras"])
def test_what_trains_in_a_type_samples_in_it(which, kind):
    model = converted(dict(models())[which], kind)
    with under(kind):
        log = fit(model, [(torch.zeros(4, 1, 8, 8), torch.tensor([0, 1, 2, -1]))], steps=3, device="cpu")
        x = model.sample(3, [0, 1, 2], 2., n_steps=3, seed=0)
    assert log["skipped"] == 0 and x.isfinite().all()
    assert {p.dtype for p in model.parameters()} == {torch.float32 if kind == "autocast" else kind}


@pytest.mark.parametrize("kind", HALF, ids=str)
def test_tables_and_clocks_are_not_rounded(kind):
    "Conversion is for weights: what tells the time keeps its digits, there and back."
    model, other = (GaussianDiffusion(PointNet(1000), cosine_beta_schedule(1000), (2,)) for _ in range(2))
    model.to(kind)
    for (name, a), b in zip(model.named_buffers(), other.buffers(), strict=True):
        assert a.dtype == torch.float32 and torch.equal(a, b), name
    assert torch.equal(model.sigma_to_t(model.sigmas), torch.arange(1000.))


@pytest.mark.parametrize("kind", [*HALF, torch.float64, "autocast"], ids=str)
@pytest.mark.parametrize("make", [
    lambda p: exact_denoiser(p, torch.arange(50) % 2), lambda p: mixture_denoiser(p, .2),
    lambda p: static_threshold(exact_denoiser(p * 2)), lambda p: dynamic_threshold(exact_denoiser(p * 2))],
    ids=["exact", "mixture", "static", "dynamic"])
def test_formulas_answer_in_the_type_of_the_question(make, kind):
    points = torch.rand(50, 2, generator=torch.Generator().manual_seed(0)) * 2 - 1
    D, x, s = make(points), points + .1, torch.full((50,), .3)
    dtype = torch.float32 if kind == "autocast" else kind
    with under(kind): near = D(x.to(dtype), s.to(dtype))
    assert near.dtype == dtype and near.isfinite().all()
    assert (near.float() - D(x, s)).abs().max() < {torch.float16: 5e-3, torch.bfloat16: .03}.get(kind, 1e-5)


@pytest.mark.parametrize("kind", TYPES, ids=NAMES)
def test_likelihood(kind):
    model, x = load("spirals", device="cpu"), torch.rand(4, 2) - .5
    how = dict(trace="exact", rtol=.01, atol=.01)
    ask = lambda m: log_likelihood(m.denoiser(threshold=None), x, .05, 20., **how)[0]
    exact = ask(model)
    with under(kind): nats = ask(converted(model, kind))
    assert nats.isfinite().all()
    if kind not in HALF and kind != "autocast": assert (nats - exact).abs().max() < .05


class Looks(nn.Module):
    "A network that looks its times up, by one of two ways."
    def __init__(self, by):
        super().__init__(); self.rows, self.out, self.by = nn.Embedding(10, 4), nn.Linear(6, 2), by

    def forward(self, x, t):
        return self.out(torch.cat([x, self.rows(t) if self.by == "embedding" else self.rows.weight[t]], 1))


@pytest.mark.parametrize("by", ["embedding", "index"])
@pytest.mark.parametrize("make", [
    lambda net, **kw: GaussianDiffusion(net, cosine_beta_schedule(10), (2,), **kw),
    lambda net, **kw: KarrasDiffusion(net, (2,), **kw)], ids=["gaussian", "karras"])
def test_networks_that_look_their_times_up(make, by, tmp_path):
    with pytest.raises(TypeError, match="build the model with `quantize=True`"):
        fit(make(Looks(by)), [torch.zeros(4, 2)], steps=1, device="cpu")
    net = Looks(by); net.T = 10
    model = make(net, quantize=True)
    fit(model, [torch.zeros(4, 2)], steps=2, device="cpu")
    x = model.sample(3, n_steps=5, seed=0)
    again = load(model.save(tmp_path/"m.safetensors"), net=Looks(by), device="cpu")
    again.net.T = 10
    assert again.quantize and torch.equal(again.sample(3, n_steps=5, seed=0), x)
