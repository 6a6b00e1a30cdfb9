"""The layers and the network of k-diffusion (4601bf0), its training steps and its augmentation, from recorded
weights and draws, in double precision. The files in oracles/ come from running the original."""
import json
from functools import reduce
from math import pi
from pathlib import Path

import pytest
import torch
from ddpm_edu import KarrasDiffusion, TensorData, creatures, digits, fit, load
from ddpm_edu.data import augment
from ddpm_edu.models import from_k_diffusion, k_diffusion_weights
from ddpm_edu.networks import AdaCrossAttention, AdaSelfAttention, FixedDownsample, FixedUpsample
from ddpm_edu.networks import KDiffusionUNet, resampling_kernel
from ddpm_edu.training import adam, validation_loss
from safetensors import safe_open
from safetensors.torch import load_file
from torch.nn import functional as F

ORACLES = Path(__file__).parent/"oracles"
LAYERS = load_file(ORACLES/"kd_layers.safetensors")


def part(tensors, prefix):
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


@pytest.fixture
def double():
    "Modules are made in double precision."
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# Lanczos' weights are rounded to single precision there, ours are not: they differ in the eighth digit
ROUNDED = [0.003689131001010537, 0.015056144446134567, -0.03399861603975296, -0.066637322306633,
           0.13550527393817902, 0.44638532400131226]


@pytest.mark.parametrize("kernel", ["linear", "cubic", "lanczos3"])
def test_resampling(double, kernel):
    r, down, up = part(LAYERS, f"resample_{kernel}/"), FixedDownsample(kernel), FixedUpsample(kernel)
    if kernel == "lanczos3":
        rounded = torch.tensor([*ROUNDED, *ROUNDED[::-1]])
        assert (rounded - resampling_kernel(kernel)).abs().max() < 1e-7
        down.kernel = up.kernel = torch.outer(rounded, rounded)
    assert (down(r["x"]) - r["down"]).abs().max() < 1e-9
    assert (up(r["x"]) - r["up"]).abs().max() < 1e-9


NAMES = (("norm_in", "norm"), ("norm_dec", "norm"), ("norm_enc", "norm_cross"), ("qkv_proj", "to_qkv"),
         ("kv_proj", "to_kv"), ("q_proj", "to_q"), ("out_proj", "to_out"))


def renamed(weights):
    for a, b in NAMES: weights = {k.replace(f"{a}.", f"{b}.", 1): v for k, v in weights.items()}
    return weights


def test_self_attention(double):
    r = part(LAYERS, "self_attention/")
    layer = AdaSelfAttention(16, 6, head_dim=4, group_size=4)
    layer.load_state_dict(renamed(part(r, "param:")))
    assert (layer.norm(r["x"], r["cond"]) - r["norm_in_y"]).abs().max() < 1e-9
    assert (layer(r["x"], r["cond"]) - r["y"]).abs().max() < 1e-9


def test_cross_attention(double):
    r = part(LAYERS, "cross_attention/")
    layer = AdaCrossAttention(16, 10, 6, head_dim=8, group_size=4)
    layer.load_state_dict(renamed(part(r, "param:")))
    for padding in (r["cross_padding"], r["cross_padding"].bool()):       # upstream takes no booleans
        assert (layer(r["x"], r["cond"], r["cross"], padding) - r["y"]).abs().max() < 1e-9


def recorded(name, **model):
    "A recorded network: its tensors, and our model with its weights in double precision."
    path = ORACLES/f"kd_net_{name}.safetensors"
    with safe_open(path, "pt") as f: kwargs = json.loads(f.metadata()["kwargs"])
    r = load_file(path)
    theirs = {"c_in": "input_channels", "feats_in": "mapping_out"}
    config = {theirs.get(k, k): v for k, v in kwargs.items()} | model | dict(
        type="image_v1", augment_wrapper=False, input_size=list(r["x"].shape[2:]), sigma_min=1e-4,
        sigma_max=1e4, sigma_sample_density={"type": "lognormal", "mean": -1.2, "std": 1.2})
    return {k: v.double() for k, v in r.items()}, from_k_diffusion(part(r, "param:"), config).double()


def answer(model, x, sigma, **cond):
    "What the network inside says to x itself, at σ."
    with torch.no_grad(): return model.net(x, model.sigma_to_t(sigma), **cond)


def test_network_with_attention_and_variance():
    r, model = recorded("sv")
    out = answer(model, r["x"], r["sigma"])
    assert (out[:, :-1] - r["out_f64"]).abs().max() < 1e-9
    assert (out[:, -1].flatten(1) - r["logvar_f64"][:, None]).abs().max() < 1e-9


def test_network_with_all_conditions():
    r, model = recorded("cond")
    cond = {k: r[k] for k in ("mapping_cond", "unet_cond", "cross_cond")}
    for padding in (r["cross_cond_padding"], r["cross_cond_padding"].bool()):  # upstream takes no booleans
        out = answer(model, r["x"], r["sigma"], **cond, cross_cond_padding=padding)
        assert (out - r["out_f64"]).abs().max() < 1e-9
    for nothing in ({}, dict(cross_cond_padding=torch.zeros_like(padding))):
        out = answer(model, r["x"], r["sigma"], **cond, **nothing)
        assert (out - r["out_no_padding_f64"]).abs().max() < 1e-9


def test_network_that_grows(tmp_path):
    r, model = recorded("skip1")
    net, sigma = model.net, r["sigma"]
    assert (answer(model, r["x"], sigma) - r["out_f64"]).abs().max() < 1e-9
    names = list(net.state_dict())
    net.set_skip_stages(0)
    out = answer(model, r["grow_skip0/x"], r["grow_skip0/sigma"])
    assert r["grow_skip0/out_zero_proj"] == 0 == out.abs().max()
    net.load_state_dict(part(r, "grow_skip0/param:"), strict=False)
    out = answer(model, r["grow_skip0/x"], r["grow_skip0/sigma"])
    assert (out - r["grow_skip0/out_f64"]).abs().max() < 1e-9
    net.set_patch_size(1)
    assert answer(model, r["grow_patch1/x"], sigma).abs().max() == 0
    net.load_state_dict(part(r, "grow_patch1/param:"), strict=False)
    assert (answer(model, r["grow_patch1/x"], sigma) - r["grow_patch1/out_f64"]).abs().max() < 1e-9
    assert list(net.state_dict()) == names                  # trap: upstream's names change with skip_stages
    grown = KarrasDiffusion(net.float(), (2, 16, 16), .5, 1e-4, 1e4)
    again = load(grown.save(tmp_path/"grown.safetensors"), device="cpu")
    assert torch.equal(again.sample(2, seed=0, n_steps=3), grown.sample(2, seed=0, n_steps=3))


@pytest.mark.parametrize("name", ["sv", "skip1"])
@pytest.mark.parametrize("sigma_data", [.5, 1.])
@pytest.mark.parametrize("loss, how", [
    ("karras", dict(loss_weighting="karras")), ("snr", dict(loss_weighting="snr")),
    ("soft-min-snr", dict(loss_weighting="soft-min-snr")), ("simple", dict(loss_config="simple")),
    ("variance", dict(has_variance=True))])
def test_denoiser_and_losses(name, sigma_data, loss, how):
    "(`scales2`, a loss in frequencies, the library has not.)"
    r, model = recorded(name, sigma_data=sigma_data, **how | dict(has_variance=name == "sv"))
    if loss == "variance" and name != "sv": return
    if loss != "variance" and name == "sv":                 # the same, but its last channel is ignored
        ask = model._answer
        model._answer = lambda *args, **cond: (ask(*args, **cond)[0], None)
    with torch.no_grad():
        D, value = model.denoise(r["x"], r["sigma"]), model.loss_at(r["x"], r["sigma"], r["noise"])
    assert (D - r[f"wrap_f64:D_sd{sigma_data}"]).abs().max() < 1e-9
    torch.testing.assert_close(value, r[f"wrap_f64:loss_{loss}_sd{sigma_data}"], rtol=1e-9, atol=1e-9)


TRAIN, RECORD = load_file(ORACLES/"kd_train4.safetensors"), json.loads((ORACLES/"kd_train4.json").read_text())


@pytest.mark.parametrize("system", ["upstream", "fork"])
def test_training(system):
    """Four steps: loss, gradient, AdamW, schedule, average. Upstream clips the gradient's norm at 1, decays
    two kinds of weights only and warms up; the fork does neither and weighs all levels alike."""
    upstream, start = system == "upstream", part(TRAIN, "param_start:")
    config = RECORD["config_merged"]["model"] | dict(loss_weighting="soft-min-snr" if upstream else "karras")
    model, average = (from_k_diffusion(start, config).double().train() for _ in range(2))
    net = model.net
    decayed = set(k_diffusion_weights({k: torch.ones(1) for k in RECORD["weight_decay_names"]}, net))
    groups = [[p for k, p in net.named_parameters() if (k in decayed) == yes] for yes in (True, False)]
    assert len(groups[0]) == len(decayed)
    opt = torch.optim.AdamW([dict(params=groups[0], weight_decay=.1),
                             dict(params=groups[1], weight_decay=0. if upstream else .1)],
                            1e-3, (.95, .999), eps=1e-6)
    smooth = None
    for i, row in enumerate(RECORD[f"{system}_f64"]):
        x0, sigma, noise, aug = (TRAIN[k][i].double() for k in ("reals", "sigma", "noise", "aug_cond"))
        losses = model.loss_at(x0, sigma, noise, aug=aug)
        torch.testing.assert_close(losses.tolist(), row["losses"], rtol=1e-9, atol=1e-9)
        opt.zero_grad(); losses.mean().backward()
        norm = torch.nn.utils.clip_grad_norm_(net.parameters(), 1. if upstream else float("inf"))
        assert abs(norm.item() - row["grad_norm_before_clip"]) < 1e-9 * max(1, norm.item())
        for g in opt.param_groups: g["lr"] = 1e-3 * ((1 - .5 ** (i + 1)) if upstream else 1)
        assert abs(opt.param_groups[0]["lr"] - row["lr"]) < 1e-12
        opt.step()
        decay = 1 - (1 + i) ** -.6667                       # read before its step: the first update is a copy
        assert abs(decay - row["ema_decay"]) < 1e-9
        smooth = losses.mean().item() * (1 - decay) + (smooth or 0) * decay
        assert abs(smooth - row["loss_ema"]) < 1e-9
        with torch.no_grad():
            for p, q in zip(average.net.parameters(), net.parameters()): p.lerp_(q, 1 - decay)
    if upstream:
        for kind, ours in (("param", net), ("ema", average.net)):
            want = k_diffusion_weights(part(TRAIN, f"{kind}_after4_f64:"), net)
            assert set(want) == set(ours.state_dict())
            for k, v in want.items(): assert (ours.state_dict()[k] - v).abs().max() < 1e-9, k
    norms = RECORD[f"{system}_l2_norms_params_ema_after4"]
    for which, ours in enumerate((net, average.net)):
        want = {k: v[which] for k, v in norms.items() if not k.endswith("kernel")}
        for k, v in k_diffusion_weights(want, net).items():
            assert abs(ours.state_dict()[k].norm().item() - v) < 1e-9 * max(1, v), k


def test_counts():
    "Trainable parameters of the configurations that ship with k-diffusion and with the fork, by shapes."
    cars = dict(channels=(128, 256, 512, 512), depths=(2, 2, 4, 4), attention_levels=[2, 3])
    simple = dict(channels=(128, 128, 256, 256, 256), depths=(4,) * 5, attention_levels=[3, 4])
    upscale = dict(channels=(128, 128, 256, 512, 512), depths=(2, 2, 2, 4, 4), attention_levels=[3, 4])
    mnist = dict(channels=(128, 128, 256), attention_levels=[2])
    var, net = dict(learned_variance=True), dict(attention_levels=[1, 2])
    for count, channels, kw in ((66_121_731, 3, net), (66_121_860, 3, net | var), (19_598_849, 1, mnist),
                                (19_598_978, 1, mnist | var), (113_078_148, 3, cars | var),
                                (49_525_507, 3, simple), (49_525_507, 3, simple | dict(skip_stages=1)),
                                (115_031_172, 3, upscale | var)):
        with torch.device("meta"): made = KDiffusionUNet(channels, augment_dim=9, **kw)
        assert sum(p.numel() for p in made.parameters()) == count


def test_the_average_is_what_grows(tmp_path):
    "Trap: a fork's growing starts from the weights of the last step."
    r, model = recorded("skip1")
    weights = {k: v.float() for k, v in part(r, "param:").items()}
    last = {k: torch.zeros_like(v) for k, v in weights.items()}
    config = dict(type="image_v1", augment_wrapper=False, input_channels=2, input_size=[16, 16],
                  mapping_out=12, depths=[1, 1, 2], channels=[16, 16, 24], patch_size=2, skip_stages=1,
                  self_attn_depths=[False, False, True], sigma_min=.01, sigma_max=80,
                  sigma_sample_density={"type": "v-diffusion"})
    torch.save(dict(model=last, model_ema=weights, config=dict(model=config)), tmp_path/"a.pth")
    grown = from_k_diffusion(tmp_path/"a.pth").net.set_skip_stages(0)
    for k, v in model.net.state_dict().items():
        if not k.startswith("proj_"): assert torch.equal(grown.state_dict()[k], v.float()), k


def test_evaluation_has_no_dropout():
    "Trap: upstream's attention drops weights when samples are drawn, too."
    net = KDiffusionUNet(1, (8, 64), (1, 1), mapping_dim=8, attention_levels=[0, 1], dropout=.5)
    for p in net.parameters(): torch.nn.init.normal_(p, std=.2)
    x, t = torch.randn(2, 1, 8, 8), torch.tensor([5, 500])
    assert not torch.equal(net(x, t), net(x, t))
    net.eval()
    assert torch.equal(net(x, t), net(x, t))
    model = KarrasDiffusion(net.train(), (1, 8, 8), sigma_min=.01)      # sampling evaluates by itself
    assert torch.equal(model.sample(2, seed=0, n_steps=3), model.sample(2, seed=0, n_steps=3))


def draws(seed, p):
    "The numbers a0 ... a7 as k-diffusion draws them."
    torch.manual_seed(seed)
    on, angle = lambda: (torch.rand([]) < p).float(), lambda: torch.rand([]) * 2 * pi - pi
    sign = lambda: torch.randint(2, []).float()
    a = [sign()]
    for kinds in ((sign,), (torch.randn,), (angle,), (angle, torch.randn), (torch.randn, torch.randn)):
        here = on()
        a += [(kind([]) if kind is torch.randn else kind()) * here for kind in kinds]
    return [v[None] for v in a]


@pytest.mark.parametrize("case, p", [(f"{kind}_prob{p}_seed{seed}", p) for p in (.12, 1.)
                                     for kind, n in (("rgb", 6), ("grey", 2)) for seed in range(n)])
def test_augmentation(monkeypatch, case, p):
    """The vector is that of our pipeline. The matrix is made of the same factors, but in the other order:
    there the shift comes first and the mirror last, in ours (and in Karras et al.'s) it is the reverse."""
    want = part(load_file(ORACLES/"kd_augment.safetensors"), f"{case}/")
    a = a0, a1, a2, a3, a4, a5, a6, a7 = draws(int(case[-1]), p)
    monkeypatch.setattr(augment, "_draw", lambda *_: dict(enumerate(a)))
    _, vector = augment.karras(p)(torch.zeros(1, 1, 12, 12), torch.Generator())
    assert (vector[0] - want["cond"]).abs().max() < 1e-6
    one, s, r = torch.ones(1), (2**.2)**a2, (2**.2)**a5
    move = lambda x, y: augment._matrix([[1., 0., x], [0., 1., y]], one)
    scale, turn = augment._stretch, augment._turn
    factors = [move(5.5, 5.5), scale(1 - 2 * a0, 1 - 2 * a1), scale(s, s), turn(-a3), turn(a4),
               scale(r, 1 / r), turn(-a4), move(12 * a6 / 8, 12 * a7 / 8), move(-5.5, -5.5)]
    assert (reduce(torch.matmul, factors)[0] - want["matrix"]).abs().max() < 1e-6


def pictures_of(kind, side):
    "Digits or drawn creatures at a side, made smaller by the mean of squares."
    x = digits()[:400][0] if kind == "digits" else creatures(200, seed=0, size=48)[:][0]
    return TensorData(F.avg_pool2d(x, x.shape[-1] // side))


@pytest.mark.more
@pytest.mark.parametrize("kind, small, large", [("digits", 14, 28), ("creatures", 24, 48)])
def test_pictures_grow_to_twice_their_side(kind, small, large, tmp_path):
    """A model of small pictures grows by a stage: its average goes on inside, it learns on, draws pictures of
    the new size, and is one file."""
    c = 1 if kind == "digits" else 3
    def model_at(side, net): return KarrasDiffusion(net, (c, side, side), .5, .01)
    def practise(model, side, steps):
        torch.manual_seed(0); opt = adam(model, 3e-3)
        return fit(model, pictures_of(kind, side), steps=steps, batch_size=16, opt=opt, device="cpu")
    torch.manual_seed(1)
    young = model_at(small, KDiffusionUNet(c, [8, 16, 32], [1, 1, 1], mapping_dim=32, skip_stages=1))
    raw = practise(young, small, 60)["raw"]
    assert young.sample(2, seed=0, n_steps=2).shape == (2, c, small, small)
    mean = {k: v.clone() for k, v in young.net.state_dict().items()}
    old = model_at(large, young.net.set_skip_stages(0))
    kept = [k for k, v in old.net.state_dict().items() if k in mean and torch.equal(v, mean[k])]
    assert len(kept) > 20, (len(kept), len(mean))
    assert not all(torch.equal(mean[k], raw[f"net.{k}"]) for k in kept)
    before = validation_loss(old, pictures_of(kind, large), 200)
    practise(old, large, 30)
    assert validation_loss(old, pictures_of(kind, large), 200) < .9 * before
    x = old.sample(2, seed=0, n_steps=2)
    assert x.shape == (2, c, large, large)
    again = load(old.save(tmp_path/"large.safetensors"), device="cpu")
    assert torch.allclose(again.sample(2, seed=0, n_steps=2), x, atol=1e-4)    # another layout in memory
