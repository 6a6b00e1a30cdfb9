"""The extra `fid`: torch-fidelity's Inception and CLIP as eyes, and our distances beside its own. No weights
can be downloaded where this runs, so theirs are random: the numbers say nothing about images, but the same
numbers have to come out of both programs.

PyPI's torchvision is built for another PyTorch than the one for CPUs, and stops at one of its modules; an
empty one stands in for it, which the networks here never use."""
# ruff: noqa: E402
import sys
import types

sys.modules["torchvision._meta_registrations"] = types.ModuleType("torchvision._meta_registrations")

import pytest
import torch
from ddpm_edu.core import to_uint8
from ddpm_edu.measuring import Extractor, Reference, extract, mmd
from torch_fidelity import FeatureExtractorInceptionV3
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric


def pictures(n, seed=0):
    "Smooth noise in colour, 16×16."
    x = torch.randn(n, 3, 4, 4, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(x, size=16, mode="bilinear").tanh()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    "Inception with random weights, as a file."
    path = tmp_path_factory.mktemp("weights")/"inception.pth"
    load, torch.load = torch.load, lambda *_, **__: None
    keep, torch.nn.Module.load_state_dict = torch.nn.Module.load_state_dict, lambda *_: None
    torch.manual_seed(0)
    try: net = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(path))
    finally: torch.load, torch.nn.Module.load_state_dict = load, keep
    torch.save(net.state_dict(), path)
    return path


def test_features_and_distances_are_torch_fidelitys(weights, tmp_path):
    eye, x, y = Extractor("inception", weights, "cpu", batch_size=7), pictures(16), pictures(12, seed=1) * .5
    f, g = extract(x, eye), extract(y, eye)
    direct = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], str(weights))(to_uint8(x))[0]
    assert f.shape == (16, 2048)
    torch.testing.assert_close(f.float(), direct, rtol=1e-4, atol=1e-4 * direct.abs().max().item())
    with pytest.warns(UserWarning, match="singular"):
        ours = Reference(x, eye, tmp_path/"real.safetensors").scores(y, ["frechet", "kid"])
    theirs = [fid_features_to_statistics(v.float()) for v in (f, g)]
    fid = fid_statistics_to_metric(*theirs, verbose=False)["frechet_inception_distance"]
    assert ours["fid"] == pytest.approx(fid, rel=1e-3, abs=1e-6)
    whole = kid_features_to_metric(f[:12].float(), g.float(), kid_subsets=1, kid_subset_size=12)
    assert mmd(f[:12], g) == pytest.approx(whole["kernel_inception_distance_mean"], rel=1e-3, abs=1e-6)


def test_kept_features_are_of_these_weights_only(weights, tmp_path):
    eye, x = Extractor("inception", weights, "cpu"), pictures(20)
    cache = tmp_path/"zoo/a/real.safetensors"
    real = Reference(x, eye, cache)
    assert torch.equal(Reference(x, eye, cache).features, real.features)
    assert real.source["network"] == "inception"
    state = torch.load(weights, weights_only=True)
    state["Conv2d_1a_3x3.conv.weight"] *= -1.5
    torch.save(state, tmp_path/"other.pth")
    with pytest.raises(ValueError, match="another network, or other weights"):
        Reference(x, Extractor("inception", tmp_path/"other.pth", "cpu"), cache)
    with pytest.raises(ValueError, match="sha256"): Reference(pictures(20, seed=3), eye, cache)


def test_grey_images_are_repeated(weights):
    eye, x = Extractor("inception", weights, "cpu"), pictures(4)[:, :1]
    assert torch.equal(extract(x, eye), extract(x.expand(-1, 3, -1, -1), eye))


def test_clip_comes_through_the_same_door(tmp_path):
    from torch_fidelity.feature_extractor_clip import CLIPVisual
    class Stored(torch.nn.Module):
        "A small CLIP, as its files are: with the sentence's half, of which a width is read."
        def __init__(self):
            super().__init__()
            self.visual = CLIPVisual(16, 32, 1, 64, 8).visual
            self.text_projection = torch.nn.Parameter(torch.zeros(8, 16))
        def forward(self, x): return self.visual(x)
    torch.manual_seed(0); net = Stored().eval()
    torch.nn.init.normal_(net.visual.proj)
    torch.jit.save(torch.jit.trace(net, torch.zeros(2, 3, 32, 32)), tmp_path/"clip.pt")
    eye, x = Extractor("clip-vit-b-32", tmp_path/"clip.pt", "cpu"), pictures(12)
    real = Reference(x, eye)
    assert real.features.shape == (12, 16) and real.source["network"] == "clip-vit-b-32"
    assert list(real.scores(pictures(12, seed=1), ["frechet", "kid"])) == ["frechet", "kid"]


def test_what_cannot_be_had_says_so(weights, tmp_path, monkeypatch):
    def refused(*_, **__): raise OSError("no network")
    monkeypatch.setattr("torch_fidelity.feature_extractor_inceptionv3.load_state_dict_from_url", refused)
    monkeypatch.setattr("torch.hub.load", refused)
    for name in ("inception", "dinov2-vit-s-14"):
        with pytest.raises(OSError, match="cannot be fetched"): Extractor(name)
    with pytest.raises(ValueError, match="choose one of inception, inception-v3-compat, vgg16, clip"):
        Extractor("incepton")
    torch.save({"w": print}, tmp_path/"evil.pth")
    with pytest.raises(ValueError, match="holds something else than weights"):
        Extractor("inception", tmp_path/"evil.pth")
