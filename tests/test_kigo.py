"""Kigo's network answers, learns and counts as the original does (oracles/kigo.safetensors).

The numbers come from runs of Kigo (nlsfnr/Kigo at 5b16de2, dm-haiku 0.0.17, optax 0.2.8) in float64 with
random weights; images there are [B, H, W, C], parameters have the original's names and layouts."""
import json
from pathlib import Path

import pytest
import torch
from ddpm_edu import GaussianDiffusion, KarrasDiffusion, cosine_beta_schedule, linear_beta_schedule, load
from ddpm_edu.core import expand
from ddpm_edu.denoising import alphas_cumprod, alphas_cumprod_from_sigmas
from ddpm_edu.networks import KigoLevel, KigoUNet, cosine_alpha_bar, from_kigo, kigo_weights
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional as F

PATH = Path(__file__).parent/"oracles/kigo.safetensors"
TENSORS = load_file(PATH)
with safe_open(PATH, "pt") as f: ABOUT = json.loads(f.metadata()["about"])
NETS = ["net_a3", "net_n2"]
CONFIG = {"net_a3": ABOUT["net_a3"], "net_n2": ABOUT["net_n2"], "train3": ABOUT["train3"]["config"]["model"]}
TIGHT = dict(rtol=0, atol=1e-9)
SMALL = [KigoLevel(8, 1, 4), KigoLevel(8, 1, 4, heads=2, head_channels=4)]


def part(path, prefix="param:"):
    "The tensors of an oracle below a prefix, in float64."
    start = f"{path}/{prefix}"
    return {k.removeprefix(start): v.double() for k, v in TENSORS.items() if k.startswith(start)}


def nchw(x): return x.double().movedim(-1, -3)


def original(name):
    "Our network with the original's weights, its images and its shares, and its answer."
    net = from_kigo(CONFIG[name]).double()
    net.load_state_dict(kigo_weights(net, part(name)))
    o = {k: TENSORS[f"{name}/{k}"] for k in ("x", "alpha_bar", "out_f64")}
    return net.eval(), nchw(o["x"]), o["alpha_bar"].double(), nchw(o["out_f64"])


@pytest.mark.parametrize("name", NETS)
def test_the_networks_answer_is_the_originals(name):
    net, x, alpha_bar, out = original(name)
    torch.testing.assert_close(net.predict(x, alpha_bar), out, **TIGHT)
    # asked by a step: ᾱ = cos²((u + s) / (1 + s) · π/2) at u = (t + 1) / T
    u = alpha_bar.sqrt().acos() * 2 / torch.pi * 1.008 - .008
    torch.testing.assert_close(net(x, 1000 * u - 1), out, rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", NETS)
def test_weights_are_read_in_every_form(name):
    _, x, alpha_bar, out = original(name)
    nested = {}
    for k, v in part(name).items():
        module, _, leaf = k.rpartition("/")
        nested.setdefault(module, {})[leaf] = v.numpy()
    for params in (part(name), nested):
        net = from_kigo(CONFIG[name], params).double().eval()
        torch.testing.assert_close(net.predict(x, alpha_bar), out, rtol=0, atol=1e-6)     # through float32


@pytest.mark.parametrize("mistake, least", [
    ("told the signal-to-noise ratio", 1e-3), ("convolutions padded on all sides", 1e-3),
    ("stamps not turned round", 1e-3), ("attention without its SiLU", 1e-3), ("epsilon 1e-6", 1e-8),
    ("the skip behind", 1e-3), ("sines and cosines in turns", 1e-3)])
def test_the_comparison_can_fail(mistake, least):
    "Each of these passes all checks of shapes."
    net, x, alpha_bar, out = original("net_a3")
    weights = kigo_weights(net, part("net_a3"))
    if mistake.startswith("told"): alpha_bar = alpha_bar / (1 - alpha_bar)
    elif mistake.startswith("convolutions"):
        for m in net.modules():
            if isinstance(m, torch.nn.ZeroPad2d) and m.padding == (0, 1, 0, 1): m.padding = (1, 0, 1, 0)
    elif mistake.startswith("stamps"):
        net.load_state_dict({k: v.flip(2, 3) if ".upsample_" in k and v.ndim == 4 else v
                             for k, v in weights.items()})
    elif mistake.startswith("attention"):
        for m in net.modules():
            if hasattr(m, "to_qkv"): m.norm.register_forward_hook(lambda m, args, y: y / y.sigmoid())
    elif mistake.startswith("epsilon"):
        for m in net.modules():
            if isinstance(m, torch.nn.GroupNorm): m.eps = 1e-6
    elif mistake == "the skip behind":
        net.load_state_dict({k: torch.cat(v.chunk(2, 1)[::-1], 1) if ".merge_1.weight" in k else v
                             for k, v in weights.items()})
    else: net.load_state_dict(weights | {"emb.weight": weights["emb.weight"].reshape(12, 2, 4).mT.flatten(1)})
    assert (net.predict(x, alpha_bar) - out).abs().max() > least


def test_a_convolution_and_its_reverse_are_haikus():
    net = from_kigo(CONFIG["net_n2"])
    change = net.chain["levels"]["skip_1"].layers
    half, double = change["downsample_1"][2:], change["upsample_2"][2:]
    for layers, name, kind in ((half, "conv_s2_same", "conv2_d"),
                               (double, "convT_s2_same", "conv2_d_transpose")):
        layer = next(m for m in layers if hasattr(m, "weight"))
        w, b, x, y = (TENSORS[f"layers/{name}/{k}"] for k in (f"param:{kind}/w", f"param:{kind}/b", "x", "y"))
        w = w.permute(3, 2, 0, 1)
        layer.weight.data, layer.bias.data = w.flip(2, 3) if kind.endswith("transpose") else w, b
        torch.testing.assert_close(layers(x.movedim(-1, 1)).movedim(1, -1), y, rtol=1e-5, atol=1e-6)


def test_its_cosine_and_its_speeds():
    t, value = (torch.tensor(ABOUT["cosine"][k], dtype=torch.float64) for k in ("t", "value"))
    torch.testing.assert_close(cosine_alpha_bar(t), value, rtol=1e-12, atol=1e-15)
    ours = alphas_cumprod(cosine_beta_schedule(1000))[499]                    # divided by the value at 0
    assert abs(cosine_alpha_bar(torch.tensor(.5)) / ours - .99984459) < 1e-7
    for dim, speeds in ABOUT["speeds"].items():
        net = KigoUNet(1, SMALL, outer_channels=8, sinusoid_dim=int(dim))
        net.emb = torch.nn.Linear(int(dim), int(dim), bias=False).double()
        torch.nn.init.eye_(net.emb.weight)
        a = torch.tensor([.3], dtype=torch.float64)
        angles = a * torch.tensor(speeds, dtype=torch.float64)
        torch.testing.assert_close(net.embed(a)[0], F.silu(torch.cat([angles.sin(), angles.cos()])))


@pytest.mark.parametrize("name", ABOUT["configs"])
def test_parameters_of_the_shipped_configurations(name):
    with torch.device("meta"): net = from_kigo(ABOUT["configs"][name])
    want = ABOUT["params"][name]
    assert sum(p.numel() for p in net.parameters()) == want["params"]
    assert len(list(net.parameters())) == want["tensors"]
    assert {"dev": 7_720_675, "syn-64x64-200M": 201_328_515}[name] == want["params"]


def train3(clip="elements", warm_from=0):
    """The original's three steps: AdamW with a warm-up that counts from 0, gradients clipped element by
    element."""
    tr, net = ABOUT["train3"]["config"]["tr"], from_kigo(CONFIG["train3"]).double().train()
    net.load_state_dict(kigo_weights(net, part("train3", "param_start:")))
    opt = torch.optim.AdamW(net.parameters(), tr["learning_rate"], weight_decay=tr["weight_decay"])
    ema, rows = {k: v.clone() for k, v in net.state_dict().items()}, []
    batches = zip(*(TENSORS[f"train3/{k}"].double() for k in ("x0", "t_uniform", "noise")))
    for i, (x0, u, noise) in enumerate(batches):
        x0, noise, ac = nchw(x0), nchw(noise), cosine_alpha_bar(u)
        root, rest = (expand(v.clamp(min=1e-8).sqrt(), x0) for v in (ac, 1 - ac))
        loss = F.mse_loss(net.predict(root * x0 + rest * noise, ac), noise)
        opt.zero_grad(); loss.backward()
        norm = torch.stack([p.grad.norm() for p in net.parameters()]).norm()
        if clip == "elements": torch.nn.utils.clip_grad_value_(net.parameters(), tr["gradient_clipping"])
        else: torch.nn.utils.clip_grad_norm_(net.parameters(), tr["gradient_clipping"])
        opt.param_groups[0]["lr"] = tr["learning_rate"] * min(
            1, (i + warm_from) / tr["learning_rate_warmup_steps"])
        opt.step()
        for k, v in net.state_dict().items(): ema[k].lerp_(v, 1 - tr["ema_alpha"])
        rows.append((loss.item(), norm.item()))
    return net, ema, rows


def test_three_steps_of_training_are_the_originals():
    net, ema, rows = train3()
    for (loss, norm), want in zip(rows, ABOUT["train3"]["steps"], strict=True):
        assert loss == pytest.approx(want["loss_mse"], abs=1e-9)
        assert norm == pytest.approx(want["grad_global_norm_unclipped"], abs=1e-9)
    for ours, prefix in ((net.state_dict(), "param_after3_f64:"), (ema, "ema_after3_f64:")):
        torch.testing.assert_close(ours, kigo_weights(net, part("train3", prefix)), **TIGHT)


@pytest.mark.parametrize("mistake", [dict(clip="norm"), dict(warm_from=1)])
def test_other_steps_are_not(mistake):
    "Traps: what the original calls clipping of gradients is one of their elements; the first step is 0."
    net, _, _ = train3(**mistake)
    want = kigo_weights(net, part("train3", "param_after3_f64:"))
    assert max((v - want[k]).abs().max() for k, v in net.state_dict().items()) > 1e-4


def test_the_first_step_moves_nothing():
    start, after = ABOUT["lr_factor"]["warmup10_counts0..12"][:2]
    assert start == 0 and after == pytest.approx(.1)
    losses = [loss for loss, _ in train3()[2]]
    assert losses == pytest.approx([row["loss_mse"] for row in ABOUT["train3"]["steps"]], abs=1e-9)


def test_dropout_is_off_in_evaluation():
    net, x, alpha_bar, out = original("net_a3")                               # built with dropout .1
    torch.testing.assert_close(net.predict(x, alpha_bar), out, **TIGHT)
    assert not torch.allclose(net.train().predict(x, alpha_bar), out, atol=1e-3)


def models():
    "Small untrained models: by a cosine, by a table, at any noise level."
    net = lambda **options: KigoUNet(1, SMALL, 20, 8, 4, 8, 8, **options)
    sigmas = torch.logspace(-2.7, 1.9, 20)
    linear = linear_beta_schedule(21)[:20]
    return {"cosine": GaussianDiffusion(net(), cosine_beta_schedule(20), (1, 8, 8)),
            "linear": GaussianDiffusion(net(alphas_cumprod=alphas_cumprod(linear)), linear, (1, 8, 8)),
            "karras": KarrasDiffusion(net(alphas_cumprod=alphas_cumprod_from_sigmas(sigmas)), (1, 8, 8))}


@pytest.mark.parametrize("kind", ["cosine", "linear", "karras"])
def test_a_model_of_it_trains_samples_and_is_saved(kind, tmp_path):
    torch.manual_seed(0)
    model = models()[kind]
    opt = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(3):
        loss = model.loss(torch.rand(8, 1, 8, 8) * 2 - 1).mean()
        opt.zero_grad(); loss.backward(); opt.step()
    assert loss.isfinite() and sum(p.abs().sum() for p in model.net.chain["final"][2].parameters()) > 0
    images = model.eval().sample(3, seed=0, n_steps=4)
    assert images.shape == (3, 1, 8, 8) and images.isfinite().all()
    again = load(model.save(tmp_path/"kigo.safetensors"), device="cpu")
    assert type(again.net) is KigoUNet and again.net.config == model.net.config
    assert torch.equal(again.sample(3, seed=0, n_steps=4), images)


def test_it_is_told_the_share_of_its_models_schedule():
    for kind in ("cosine", "linear"):
        model = models()[kind]
        told = model.net.alpha_bar(torch.arange(20))
        worst = (told / model.alphas_cumprod - 1).abs()[:-1].max()
        assert worst < (2e-4 if kind == "cosine" else 1e-6)                   # the cosine is not divided
