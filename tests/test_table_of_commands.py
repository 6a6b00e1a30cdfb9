"""The table of what other systems' commands and settings are called here: each row that can run is run."""
import csv
import json
import re
import shlex
import shutil
from contextlib import chdir
from importlib import import_module
from pathlib import Path

import pytest
from ddpm_edu.training.config import read_config
from ddpm_edu.using.all_commands import COMMANDS as COMMANDS_OF
from ddpm_edu.using.shell import read_words

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


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    "A folder with a run in its zoo, of tiny pictures, that is the active one; and its settings in a file."
    here = tmp_path_factory.mktemp("place")
    with chdir(here):
        settings = {"data": {"dataset": "digits", "items": 40},
                    "network": {"class": "UNet", "model_channels": 8, "T": 10, "channel_multipliers": [1, 1],
                                "middle_attention": False, "patch_size": 2},
                    "model": {"class": "KarrasDiffusion", "sigma_data": .6},
                    "train": {"steps": 2, "batch_size": 4, "save_every": 2}, "sample": {"every": None}}
        Path("my-config.yaml").write_text(json.dumps(settings), encoding="utf-8")
        assert main("ddpm_init my-config.yaml zoo/my-model") == 0
        assert main("ddpm_train zoo/my-model") == 0
    return here


def main(line):
    "Run a line for the shell by the function that the command is."
    name, *words = shlex.split(line)
    module = import_module(f"ddpm_edu.using.{COMMANDS_OF[name]}")
    if name in ("ddpm_init", "ddpm_train"): words += ["--device", "cpu"]
    return getattr(module, name).main(words)


@pytest.mark.parametrize("row", [r for r in COMMANDS if not r["mark"]], ids=lambda r: r["ours"])
def test_a_command_runs(row, place, tmp_path, capfd):
    "In a copy of the folder, so that no row leans on another."
    shutil.copytree(place, tmp_path/"here", symlinks=True)
    with chdir(tmp_path/"here"):
        line = row["ours"]
        if line == "ddpm_init my-config.yaml zoo/my-model": shutil.rmtree("zoo")
        assert main(line) == 0, capfd.readouterr().err
        wrote = re.search(r"(?:--out|-o) (\S+)", line)
        assert wrote is None or Path(wrote[1]).is_file()


@pytest.mark.parametrize("row", [r for r in COMMANDS if r["mark"]], ids=lambda r: r["ours"])
def test_a_command_that_needs_more_reads_its_words(row):
    "Those that need an extra, or data from the hub: their options are known all the same."
    name, *words = shlex.split(row["ours"])
    home = {"ddpm_serve": "serve", "ddpm_init": "training_commands"}.get(name, "drawing_commands")
    assert read_words(getattr(import_module(f"ddpm_edu.using.{home}"), name), words)
