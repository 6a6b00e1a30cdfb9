"""Noisy's networks answer, learn and count as the originals do (oracles/noisy.safetensors).

The numbers come from runs of Noisy (jags111/noisy at 727bb39, torch 2.13.0) in float64 with random weights;
parameters have the original's names."""
import json
from pathlib import Path

import pytest
import torch
from ddpm_edu import GaussianDiffusion, KarrasDiffusion, load
from ddpm_edu.core import expand
from ddpm_edu.networks import (NOISY, NoisyDownsample, NoisyPlan, NoisyUNet, NoisyUpsample, from_noisy,
                               noisy_weights)
from ddpm_edu.networks.noisy import sines_cosines
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional as F

PATH = Path(__file__).parent/"oracles/noisy.safetensors"
TENSORS = load_file(PATH)
with safe_open(PATH, "pt") as f: ABOUT = json.loads(f.metadata()["about"])
NETS = ["net_lara", "net_maria", "net_alia"]
TIGHT = dict(rtol=0, atol=1e-9)


def part(path, prefix="param:"):
    "The tensors of an oracle below a prefix, in float64."
    start = f"{path}/{prefix}"
    return {k.removeprefix(start): v.double() for k, v in TENSORS.items() if k.startswith(start)}


def original(name):
    "Our network with the original's weights, its images and times, and its answer."
    net = from_noisy(ABOUT[name]).double()
    net.load_state_dict(noisy_weights(net, part(name)))
    x, t, out = (TENSORS[f"{name}/{k}"] for k in ("x", "t", "out_f64"))
    return net.eval(), x.double(), t, out


@pytest.mark.parametrize("name", NETS)
def test_the_networks_answer_is_the_originals(name):
    net, x, t, out = original(name)
    assert t.tolist() == [7, 911]
    torch.testing.assert_close(net(x, t), out, **TIGHT)
    torch.testing.assert_close(net(x, t.double()), out, **TIGHT)
    # a plain whole number, the same for all; narrow networks magnify what float32 leaves out
    same = net(x, torch.full((2,), 911))
    torch.testing.assert_close(same[1], out[1], **TIGHT)
    torch.testing.assert_close(same, TENSORS[f"{name}/out_int_t_f32"].double(), rtol=0, atol=1e-3)


@pytest.mark.parametrize("name", NETS)
def test_the_time_becomes_the_originals_numbers(name):
    want = TENSORS[f"{name}/time_embedding_f64"]
    torch.testing.assert_close(sines_cosines(torch.tensor([7., 911.]).double(), want.shape[1]), want, **TIGHT)


@pytest.mark.parametrize("name", NETS)
def test_weights_are_read_by_the_loader(name):
    _, x, t, out = original(name)
    net = from_noisy(ABOUT[name], {k: v.float() for k, v in part(name).items()}).double()
    torch.testing.assert_close(net(x, t), out, **TIGHT)                       # they are stored in float32


MISTAKES = ["the time behind the image", "sines and cosines in turns", "half and not half - 1",
            "epsilon 1e-6", "the skip doubled", "no shortcut on the way back", "no activation after halving",
            "keys for queries", "the other activation"]


@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("name", ["net_lara", "net_maria"])
def test_the_comparison_can_fail(mistake, name, monkeypatch):
    "Each of these passes all checks of shapes."
    net, x, t, out = original(name)
    first = net.chain["down_1_1"].change.weight.data
    if mistake.startswith("the time"): first.copy_(first.roll(-8, 1))
    elif mistake.startswith("sines"): first[:, :8, 0, 0] = first[:, :8, 0, 0].reshape(-1, 4, 2).mT.flatten(1)
    elif mistake.startswith("half"):
        def slower(t, channels):
            angles = t[:, None] * 10_000. ** (-torch.arange(channels // 2) / (channels // 2))
            return torch.cat([angles.sin(), angles.cos()], 1)
        monkeypatch.setattr("ddpm_edu.networks.noisy.sines_cosines", slower)
    for m in net.modules():
        if mistake.startswith("epsilon") and isinstance(m, torch.nn.InstanceNorm2d): m.eps = 1e-6
        if mistake.startswith("the skip") and hasattr(m, "connection"): m.connection = lambda h, x: h + 2 * x
        if mistake.startswith("no activation") and isinstance(m, NoisyDownsample): m.activation = None
        if mistake.startswith("no shortcut") and isinstance(m, NoisyUpsample):
            m.register_forward_hook(lambda m, args, y: (m.activation or torch.nn.Identity())(m.conv(args[0])))
        if mistake.startswith("keys") and hasattr(m, "q"): m.q, m.k, m.v = m.v, m.q, m.k
        if mistake.startswith("the other") and hasattr(m, "add"): m.add[1] = m.add[4] = torch.nn.GELU()
    assert (net(x, t) - out).abs().max() > (1e-8 if mistake.startswith("epsilon") else 1e-3)


def test_only_lara_halves_by_the_convolution_alone():
    kept = {name: {m.shortcut for m in NoisyUNet(1, name, 2, 4).modules() if isinstance(m, NoisyDownsample)}
            for name in NOISY}
    assert kept == dict(Lara={False}, Maria={True}, Alia={True})


@pytest.mark.parametrize("name", [k for k in ABOUT["params"] if not k.endswith(".yaml")])
def test_parameters_at_other_widths(name):
    kind, _, width, _, channels, _ = name.split()
    with torch.device("meta"): net = NoisyUNet(3, kind, int(width), int(channels))
    assert sum(p.numel() for p in net.parameters()) == ABOUT["params"][name]


@pytest.mark.parametrize("name", ABOUT["configs"])
def test_parameters_of_the_shipped_configurations(name):
    want = ABOUT["params"][name]["params"]
    if want is None:                                        # `arch.model` is missing: the original stops, too
        with pytest.raises(ValueError, match="no `arch.model`: write one of Lara, Maria, Alia"):
            from_noisy(ABOUT["configs"][name])
        return
    with torch.device("meta"): net = from_noisy(ABOUT["configs"][name])
    assert sum(p.numel() for p in net.parameters()) == want
    assert net.T == ABOUT["configs"][name]["diffusion"]["T"]
    sizes = dict(lara=64_166_531, maria=123_117_187, alia=146_849_155)
    if name.endswith("-viking.yaml"): assert sizes[name.split("-")[0]] == want


def betas(T=1000, beta_start=1e-4, beta_stop=.01):
    "Noisy's schedule: it never reaches its upper end, and is not scaled by T."
    return torch.linspace(beta_start, beta_stop, T + 1, dtype=torch.float64)[:T]


def test_its_schedule_does_not_reach_its_end():
    for row in ABOUT["betas"]:
        b = betas(row["T"], row["beta_start"], row["beta_stop"])
        want_betas, want = (torch.tensor(row[k], dtype=torch.float64) for k in ("beta", "alpha_bar"))
        torch.testing.assert_close(b[row["t"]], want_betas, rtol=1e-12, atol=1e-15)
        torch.testing.assert_close((1 - b).cumprod(0)[row["t"]], want, rtol=1e-12, atol=1e-15)
    left = (1 - betas()).cumprod(0)[-1].item()
    assert betas().max() < .01 and left == pytest.approx(.0063332, abs=1e-7)   # not pure noise


def train4(swap=False, ema_freq=None):
    "The original's four steps: AdamW, an average at every second one."
    about = ABOUT["train4"]["config"]
    tr, freq = about["training"], ema_freq or about["training"]["ema_freq"]
    net = from_noisy(about).double().train()
    net.load_state_dict(noisy_weights(net, part("train4", "param_start:")))
    opt = torch.optim.AdamW(net.parameters(), **about["optim"])
    ema, rows, root_ema = {k: v.clone() for k, v in net.state_dict().items()}, [], None
    alphas_bar = (1 - betas(**about["diffusion"])).cumprod(0)
    for i in range(4):
        x0, t, noise = (TENSORS[f"train4/{k}"][i] for k in ("x", "t", "noise"))
        x0, noise, ac = x0.double(), noise.double(), expand(alphas_bar[t], x0)
        x = ac.sqrt() * x0 + (1 - ac).sqrt() * noise
        loss = F.mse_loss(net(x, t - 1 if swap else t), noise)
        opt.zero_grad(); loss.backward()
        norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
        opt.step()
        if (i + 1) % freq == 0:
            for k, v in net.state_dict().items(): ema[k].lerp_(v, 1 - tr["ema_alpha"] ** freq)
        root = loss.item() ** .5
        root_ema = root if root_ema is None else .9 * root_ema + .1 * root
        rows.append((loss.item(), norm.item()))
    return net, ema, rows, root_ema


def test_four_steps_of_training_are_the_originals():
    net, ema, rows, root_ema = train4()
    for (loss, norm), want in zip(rows, ABOUT["train4"]["steps"], strict=True):
        assert loss == pytest.approx(want["mse"], abs=1e-9)
        assert norm == pytest.approx(want["grad_norm"], abs=1e-9)
    for ours, prefix in ((net.state_dict(), "param_after4_f64:"), (ema, "ema_after4_f64:")):
        torch.testing.assert_close(ours, noisy_weights(net, part("train4", prefix)), **TIGHT)
    # trap: what the original reports, and calls its error, is the root of the loss
    assert root_ema == pytest.approx(ABOUT["train4"]["loss_ema"], abs=1e-9)


def test_other_steps_are_not():
    "Traps: times count from 0; the average moves by alpha ** ema_freq, at every ema_freq-th step only."
    assert abs(train4(swap=True)[2][0][0] - ABOUT["train4"]["steps"][0]["mse"]) > 1e-4
    net, ema, _, _ = train4(ema_freq=1)
    want = noisy_weights(net, part("train4", "ema_after4_f64:"))
    assert max((v - want[k]).abs().max() for k, v in ema.items()) > 1e-5
    for row in ABOUT["ema"]["a"]: assert row["alpha"] ** row["freq"] == pytest.approx(row["a"], rel=1e-12)


def models(plan):
    "Small untrained models."
    net = lambda: NoisyUNet(1, plan, 4, 4, T=20)
    return {"gaussian": GaussianDiffusion(net(), betas(20, beta_stop=.5), (1, 32, 32)),
            "karras": KarrasDiffusion(net(), (1, 32, 32))}


@pytest.mark.parametrize("kind", ["gaussian", "karras"])
@pytest.mark.parametrize("plan", [*NOISY, NoisyPlan(["B", "BA"])], ids=[*NOISY, "own"])
def test_a_model_of_it_trains_samples_and_is_saved(kind, plan, tmp_path):
    torch.manual_seed(0)
    model = models(plan)[kind]
    before = {k: v.clone() for k, v in model.net.state_dict().items()}
    opt = torch.optim.Adam(model.parameters(), 1e-3)
    loss = model.loss(torch.rand(4, 1, 32, 32) * 2 - 1).mean()
    opt.zero_grad(); loss.backward(); opt.step()
    assert loss.isfinite() and any(not torch.equal(v, before[k]) for k, v in model.net.state_dict().items())
    images = model.eval().sample(2, seed=0, n_steps=3)
    assert images.shape == (2, 1, 32, 32) and images.isfinite().all()
    again = load(model.save(tmp_path/"noisy.safetensors"), device="cpu")
    assert type(again.net) is NoisyUNet and again.net.config == model.net.config
    assert torch.equal(again.sample(2, seed=0, n_steps=3), images)
