"""The table of what other systems' commands and settings are called here: each row that can run is run."""
import csv
import json
import re
from pathlib import Path

import pytest
from ddpm_edu.training.config import read_config

ROOT = Path(__file__).parents[1]
ROWS = list(csv.DictReader((ROOT/"nbs"/"tutorials"/"from_other_systems.csv").open(encoding="utf-8")))
KEYS = [r for r in ROWS if r["kind"] == "key" and r["ours"]]
COMMANDS = [r for r in ROWS if r["kind"] == "command" and r["ours"]]
MARKS = {"", "none", "tracker", "scale", "processes", "python", "later", "data", "extra serve", "extra clip"}
BASE = {  # what the settings of a system are settings of
    "Kigo": ("KigoUNet", "GaussianDiffusion"), "Noisy": ("NoisyUNet", "GaussianDiffusion"),
    "flax": ("FlaxUNet", "GaussianDiffusion"), "k-diffusion": ("KDiffusionUNet", "KarrasDiffusion"),
    "Julia": ("UNet", "GaussianDiffusion")}


def settings(text):
    "The overrides of a row; commas and braces hold their words together."
    return re.split(r" (?=[a-z]+\.[\w.]+=)", text)


def at(config, path):
    "The value that a configuration has there."
    for name in path.split("."): config = config[name] if isinstance(config, dict) else getattr(config, name)
    return config


def test_the_table_is_whole():
    assert {r["system"] for r in ROWS} == set(BASE) and {r["kind"] for r in ROWS} == {"key", "command"}
    assert {r["mark"] for r in ROWS} <= MARKS
    assert all(r["ours"] or r["mark"] for r in ROWS)       # a row without a counterpart says why
    assert len({(r["system"], r["theirs"]) for r in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", KEYS, ids=lambda r: f"{r['system']}: {r['theirs'][:40]}")
def test_a_setting_is_known_here(row, tmp_path):
    network, model = BASE[row["system"]]
    base = tmp_path/"base.yaml"
    parts = {"network": {"class": network}, "model": {"class": model}, "train": {"steps": 1}}
    base.write_text(json.dumps(parts), encoding="utf-8")
    ours = settings(row["ours"].replace("FOLDER", str(tmp_path)))
    found = read_config(base, *ours)
    for said in ours:
        path, _, value = said.partition("=")
        got = at(found, path)
        if isinstance(got, float): assert float(value) == got, said
        else: assert value.lower() == str(got).replace("'", "").lower(), said


def test_every_key_of_the_originals_is_in_the_table(oracle_keys):
    "The settings that the configurations of the originals have, by the files of tests/oracles."
    for system, keys in oracle_keys.items():
        told = set(re.findall(r"\w+", " ".join(r["theirs"] for r in ROWS if r["system"] == system)))
        assert [key for key in keys if key.split(".")[-1] not in told] == []


@pytest.fixture(scope="module")
def oracle_keys():
    return json.loads((ROOT/"tests"/"oracles"/"settings_of_others.json").read_text(encoding="utf-8"))
