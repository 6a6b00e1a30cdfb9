"""A model over half of the colour is saved, loaded and used like any other, though its network never sees a
picture."""
import pytest
import torch

from ddpm_edu import GuidanceExplorer, UNet, creatures, load, set_seed
from ddpm_edu.training import train, validation_loss
from ddpm_edu.sprites import HalfColourDiffusion


@pytest.fixture
def model():
    set_seed(0)
    net = UNet(6, 8, 100, (1, 2), 2, middle_attention=False)
    return HalfColourDiffusion(net, (3, 16, 12), .5, p_uncond=.1, colours=4, colour_guidance=.3).eval()


def test_a_file_brings_all_of_it_back(model, tmp_path):
    again = load(model.save(tmp_path / "m.safetensors"), device="cpu")
    assert (type(again), again.colours, again.guidance_shares[-1],
            again.data_shape) == (HalfColourDiffusion, 4, .3, (3, 16, 12))
    assert torch.equal(again.sample(5, 1, 3., n_steps=4, seed=0), model.sample(5, 1, 3., n_steps=4, seed=0))


def test_it_trains_on_pictures():
    "A few steps of the ordinary trainer on creatures lower the loss of creatures that it did not see."
    set_seed(0)
    model = HalfColourDiffusion(UNet(6, 8, 100, (1, 2), middle_attention=False), (3, 48, 48))
    before = validation_loss(model, creatures(40, 1), n=40)
    for step in train(model, creatures(64, 0), batch_size=16, lr=2e-3):
        if step.step == 20: break
    assert validation_loss(model, creatures(40, 1), n=40) < .8 * before


def test_the_explorer_shows_pictures(model):
    explorer = GuidanceExplorer(model, n_steps=2)
    assert explorer.shape == (3, 16, 12)
    explorer.close()


def test_the_explorer_calls_classes_what_the_card_calls_them(model):
    model.card = dict(classes=["red fish", "blue bug"])
    explorer = GuidanceExplorer(model, n_steps=2)
    assert [name for name, _ in explorer.controls["label"].options] == ["any", "red fish", "blue bug"]
    explorer.close()


@pytest.mark.parametrize("threshold", ["static", "dynamic", None])
def test_thresholds_are_those_of_pictures(model, threshold):
    x = model.sample(3, 0, n_steps=3, seed=0, threshold=threshold)
    assert x.shape == (3, 3, 16, 12) and x.abs().max() <= 1 + 1e-5
    D = model.denoiser(threshold=threshold)(9 * torch.randn(3, 6, 8, 6), torch.ones(3))
    assert (D[:, :4].abs().max() <= 1 + 1e-5) == (threshold is not None)
