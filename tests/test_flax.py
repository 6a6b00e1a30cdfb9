"""The network of denoising-diffusion-flax (d09e271) and three of its training steps, from recorded weights
and draws, in double precision. The files in oracles/ come from running the original."""
import json
from math import sqrt
from pathlib import Path

import pytest
import torch
from ddpm_edu import load
from ddpm_edu.denoising.schedules import alphas_cumprod, cosine_beta_schedule, linear_beta_schedule
from ddpm_edu.models import GaussianDiffusion
from ddpm_edu.networks import FlaxUNet
from safetensors import safe_open
from safetensors.torch import load_file

ORACLES = Path(__file__).parent/"oracles"
TRAIN = load_file(ORACLES/"flax_train3.safetensors")
RECORD = json.loads((ORACLES/"flax_train.json").read_text())


def nchw(x):
    "Images of flax: channels go before height and width."
    return x.double().movedim(-1, -3)


def place(level, shells, name):
    "Where `name` stands in our nest: behind `shells` of the two skips of level `level` (from 1)."
    skips = [f"{kind}_{i}" for i in range(1, level + 1) for kind in ("around", "skip")]
    return "".join(f"{skip}.layers." for skip in ("around_0", *skips[:2 * (level - 1) + shells])) + name


# the layers of flax inside of one block, and ours; an attention has its normalisation in front
LAYERS = {"conv_0": "conv1", "conv_1": "conv2", "norm_0": "norm1", "norm_1": "norm2", "res_conv_0": "skip",
          "time_mlp.dense_0": "emb", "to_qkv.conv_0": "to_qkv", "to_out.conv_0": "to_out",
          "to_out.norm_0": "norm", "LayerNorm_0": "layers.0", "LinearAttention_0": "layers.1",
          "Attention_0": "layers.1", "Conv_0": ""}


def ours(name, n):
    "Our name of a weight of flax, in a network of `n` levels."
    where, *layer, last = name.split("/")
    kind, _, part = where.partition(".")
    side, _, i = kind.partition("_")
    i = int(i) + 1 if i.isdigit() else n
    path = {"time_mlp.dense_0": "time.0", "time_mlp.dense_1": "time.2", "init.conv_0": "chain.init",
            "final.conv_0": "chain.final", "final.resblock_0": "chain.final_1"}.get(where)
    if path is None: path = "chain." + {
        "down": {"resblock_0": place(i, 0, f"down_{i}_1"), "resblock_1": place(i, 1, f"down_{i}_2"),
                 "attnblock_0": place(i, 1, f"down_{i}_2_attention"), "conv_0": place(i, 2, f"down_{i + 1}"),
                 "downsample_0": place(i, 2, f"downsample_{i}")},
        "mid": {"resblock_0": place(n, 2, "middle_1"), "attenblock_0": place(n, 2, "middle_attention"),
                "resblock_1": place(n, 2, "middle_2")},
        "up": {"resblock_0": place(i, 1, f"up_{i}_1"), "resblock_1": place(i, 0, f"up_{i}_2"),
               "attnblock_0": place(i, 0, f"up_{i}_2_attention"),
               "upsample_0": place(i, 0, f"upsample_{i}.1"), "conv_0": place(1, 0, "narrow")}}[side][part]
    words = path, *(LAYERS[k] for k in layer), "bias" if last == "bias" else "weight"
    return ".".join(w for w in words if w)


def state(weights, n):
    "Weights of flax under our names, kernels as torch has them."
    turn = {4: lambda v: v.permute(3, 2, 0, 1), 2: lambda v: v.T, 1: lambda v: v}
    return {ours(k, n): turn[v.ndim](v.double()) for k, v in weights.items()}


def part(tensors, prefix):
    return {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)}


def recorded(name):
    "A recorded network: tensors, arguments, and weights under our names."
    path = ORACLES/f"flax_net_{name}.safetensors"
    with safe_open(path, "pt") as f: kw = json.loads(f.metadata()["kw"])
    tensors = load_file(path)
    args = (tensors["x"].shape[-1], kw["dim"], 1000, tuple(kw["dim_mults"]), kw["out_dim"])
    return tensors, args, state(part(tensors, "param:"), len(kw["dim_mults"]))


@pytest.mark.parametrize("name", ["sc16", "g8"])
@pytest.mark.parametrize("normalise, out", [("space", "out_f64"), ("channels", "out_channel_l2norm_f64")])
def test_network(name, normalise, out):
    tensors, args, weights = recorded(name)
    net = FlaxUNet(*args, normalise=normalise).double()
    net.load_state_dict(weights)                              # every name, every shape
    got = net(nchw(tensors["x"]), tensors["t"])
    assert (got - nchw(tensors[out])).abs().max() < 1e-9


def test_the_two_attentions_differ():
    "Trap: upstream scales q and k to length 1 along the positions."
    tensors, _, _ = recorded("g8")
    assert (tensors["out_f64"] - tensors["out_channel_l2norm_f64"]).abs().max() > 1e-4


def test_saved_and_sampled_like_any(tmp_path):
    "In float32, with the weights of the original, through a file."
    _, args, weights = recorded("g8")
    net = FlaxUNet(*args); net.load_state_dict(weights)
    model = GaussianDiffusion(net, cosine_beta_schedule(1000), (args[0], 12, 12))
    again = load(model.save(tmp_path/"flax.safetensors"))
    assert torch.equal(again.sample(2, seed=1, n_steps=4), model.sample(2, seed=1, n_steps=4))


def predicted(net, x, t, before, ac, pred_x0):
    "(x̂₀, ε̂) of a network that gets its last estimate beside the noisy image, or does not."
    out = net(x if before is None else torch.cat([x, before], 1), t)
    a = ac[t][:, None, None, None]
    return (out, None) if pred_x0 else (x / a.sqrt() - (1 / a - 1).sqrt() * out, out)


def loss(net, x0, noise, t, coin, config):
    "denoising-diffusion-flax's `p_loss`, written anew."
    d = config["ddpm"]
    betas = (cosine_beta_schedule if d["beta_schedule"] == "cosine" else linear_beta_schedule)(d["timesteps"])
    ac = alphas_cumprod(betas)
    a = ac[t][:, None, None, None]
    x, before = a.sqrt() * x0 + (1 - a).sqrt() * noise, None
    if d["self_condition"]:
        before = torch.zeros_like(x)
        if coin:
            with torch.no_grad(): before = predicted(net, x, t, before, ac, d["pred_x0"])[0]
    out = predicted(net, x, t, before, ac, d["pred_x0"])[0 if d["pred_x0"] else 1]
    error = out - (x0 if d["pred_x0"] else noise)
    error = error.abs() if config["training"]["loss_type"] == "l1" else error.square()
    p2 = (d["p2_loss_weight_k"] + ac / (1 - ac)) ** -d["p2_loss_weight_gamma"]
    return (error.flatten(1).mean(1) * p2[t]).mean()


@pytest.mark.parametrize("run", ["A", "B"])
def test_training(run):
    config, rows = RECORD[run]["config"], RECORD[run]["rows_f64"]
    conditioned, mults = config["ddpm"]["self_condition"], tuple(config["model"]["dim_mults"])
    build = lambda: FlaxUNet(3 * (1 + conditioned), 8, config["ddpm"]["timesteps"], mults, 3,
                             normalise="space").double()
    start = part(TRAIN, "A/param_start:") | part(TRAIN, f"{run}/param_start:")
    net, average = build(), build()
    net.load_state_dict(state(start, len(mults)))
    names = {ours(k, len(mults)): k for k in start}
    opt = torch.optim.Adam(net.parameters(), 1e-3, (.9, .99), eps=1e-8)
    for i, row in enumerate(rows):
        x0, noise, t = nchw(TRAIN[f"{run}/x"][i]), nchw(TRAIN[f"{run}/noise"][i]), TRAIN[f"{run}/t"][i].long()
        args = x0, noise, t, row["coin_used_self_cond"], config
        value = loss(net, *args)
        assert abs(value.item() - row["loss"]) < 1e-9
        opt.zero_grad(); value.backward()
        norm = sqrt(sum(p.grad.square().sum().item() for p in net.parameters()))
        assert abs(norm - row["grad_global_norm"]) < 1e-9 * max(1, norm)
        with torch.no_grad():
            ema_loss = loss(average if i else net, *args).item()
            assert i == 0 or abs(ema_loss - row["loss_ema"]) < 1e-9
            opt.step()
            for p, q in zip(average.parameters(), net.parameters()):
                p.copy_(q) if row["ema_action"] == "copy" else p.lerp_(q, 1 - row["ema_action"])
    for ours_name, (p, q) in zip(dict(net.named_parameters()), zip(net.parameters(), average.parameters())):
        want = RECORD[run]["l2_norms_after3_f64"][names[ours_name]]
        assert abs(p.norm().item() - want[0]) < 1e-9 * max(1, want[0]), ours_name
        assert abs(q.norm().item() - want[1]) < 1e-9 * max(1, want[1]), ours_name
    if run == "A":
        for kind, module in (("params", net), ("ema", average)):
            for k, v in state(part(TRAIN, f"A/{kind}_after3_from_f64:"), len(mults)).items():
                assert (module.state_dict()[k] - v).abs().max() < 1e-6, k     # stored in float32
