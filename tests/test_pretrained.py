"""The weights that ship: small, whole, with a card that says where they come from, and good for what they are
for."""
import csv
from pathlib import Path

import pytest
import torch

from ddpm_edu import load, spiral
from ddpm_edu.core import to_uint8
from ddpm_edu.models import PRETRAINED, fingerprint
from ddpm_edu.models.files import read_file
from ddpm_edu.measuring import classify, load_lenet
from ddpm_edu.sprites import main_hue

ROOT = Path(__file__).parents[1]
SHIPPED = ["spirals", "digits", "digits_guided", "fashion"]
HOW = dict(sampler="dpmpp_2m_sde", n_steps=10, seed=0)


@pytest.mark.parametrize("name", [*SHIPPED, "pokemon"])
def test_a_file_is_small_and_its_card_tells_how_it_was_made(name):
    path = PRETRAINED / f"{name}.safetensors"
    assert path.stat().st_size < 3_000_000
    card = load(name).card
    assert card["command"].startswith("python tools/") and card["seconds"] > 0 and card["data"]


@pytest.mark.parametrize("table", ["presets", "guidance", "guidance_fashion", "sprite_metric"])
def test_tables_of_results_name_the_weights_that_ship(table):
    "By the sum of the tensors in the file, which neither a new card nor another way of loading changes."
    rows = list(csv.DictReader((ROOT / f"benchmarks/results/{table}.csv").open()))
    named = {(r.get("model") or r.get("collection"), r["weights"]) for r in rows if r["weights"]}
    assert named and all(fingerprint(read_file(PRETRAINED / f"{name}.safetensors")[0])[:8] == weights
                         for name, weights in named)


@pytest.mark.parametrize("name", SHIPPED[1:])
def test_no_more_parameters_than_the_baseline_has(name):
    model = load(name)
    assert sum(p.numel() for p in model.parameters()) <= 376_913
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    scores = model.card["FLD of clothes" if name == "fashion" else "FLD-v1"]
    assert scores and max(scores.values()) < 6


def test_digits_are_digits():
    "A reader who knows digits is sure of most of them, and sees every class."
    seen, sure = classify(load("digits").sample(200, **HOW))
    assert (sure > .9).float().mean() > .85 and len(seen.unique()) == 10


def test_the_digit_that_was_asked_is_the_one_that_comes():
    y = torch.arange(200) % 10
    model = load("digits_guided")
    assert (classify(model.sample(200, y, guidance_scale=2., **HOW))[0] == y).float().mean() > .97


def test_the_garment_that_was_asked_is_the_one_that_comes():
    "As often as the reader is right about real ones, which is nine times in ten."
    y = torch.arange(200) % 10
    seen = classify(load("fashion").sample(200, y, guidance_scale=2., **HOW), load_lenet("lenet_fashion"))[0]
    assert (seen == y).float().mean() > .85


def test_spirals_lie_on_the_spiral():
    x = load("spirals").sample(500, sampler="dpmpp_2m", n_steps=20, seed=0)
    assert torch.cdist(x, spiral(5000, seed=1).x).min(1).values.quantile(.95) < .05


def test_sprites_stand_on_white_in_the_colour_that_was_asked_for():
    y = torch.arange(24) % 6
    model = load("pokemon")
    assert model.card["labels"] == ["hue", "body"] and model.net.num_classes == 54
    x = model.sample(24, 9 * y + torch.arange(24) % 9, guidance_scale=2., seed=0, n_steps=15)
    assert (x[:, :, [0, 0, -1, -1], [0, -1, 0, -1]] > .9).float().mean() > .95
    assert (main_hue(to_uint8(x)) == y).float().mean() > .7
