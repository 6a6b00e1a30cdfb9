"""The layers and the network of k-diffusion (4601bf0), its training steps and its augmentation, from recorded
weights and draws, in double precision. The files in oracles/ come from running the original."""
from pathlib import Path

import pytest
import torch
from ddpm_edu.networks import AdaCrossAttention, AdaSelfAttention, FixedDownsample, FixedUpsample
from ddpm_edu.networks import resampling_kernel
from safetensors.torch import load_file

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
