"""Each configuration that ships has its comments, describes the network that it says, and trains two steps on
made-up data in the format of its own, at a small size."""
import gzip
import hashlib
import importlib.util
import io
import json
import shutil

import configs
import numpy as np
import pytest
import torch
from ddpm_edu import creatures, load
from ddpm_edu.data import MNIST_FAMILY
from ddpm_edu.models import public_class
from ddpm_edu.sprites import LABELS
from ddpm_edu.training import config, config_names, fit, read_config
from ddpm_edu.training.checkpoints import read_checkpoint
from ddpm_edu.training.config import CONFIGS, UPGRADES
from ddpm_edu.using import DATASETS, from_config, network_arguments
from PIL import Image

NAMES = config_names()
ASKED = "spiral shapes digits digits_guided fashion cifar10 flowers pokemon folder hub".split()


def test_those_that_were_promised_are_there():
    assert set(ASKED) <= set(NAMES)
    for system in ("julia", "flax", "k_diffusion", "kigo", "noisy"):
        assert sum(n.startswith(f"{system}_") for n in NAMES) >= 2, system


@pytest.mark.parametrize("name", NAMES)
def test_the_comments_are_those_of_the_code(name):
    path = CONFIGS/f"{name}.yaml"
    text = path.read_text(encoding="utf-8")
    assert text == configs.finished(path), "run `make export`"
    assert text.startswith("# ")
    silent = [line for line in text.splitlines() if line.startswith("  ") and "#" not in line
              and not line.startswith(("  class:", "    -"))]
    assert silent == []                                                       # a key without a comment


PARAMETERS = { # of the originals, counted by running them (millions where that is what was published)
    "julia_digits": 602_705, "julia_digits_guided": 622_865, "julia_pokemon": 403_987,
    "julia_spiral": 1_442, "julia_shapes": 5_826,
    "flax_cifar10": 10_058_563, "flax_fashion": 10_042_753, "flax_flowers": 36_251_779,
    "flax_flowers_colab": 36_251_779, "flax_flowers_p2": 36_251_779, "flax_flowers_p2_self": 36_261_187,
    "k_diffusion_mnist": 19_598_849, "k_diffusion_cifar10": 66_121_731, "k_diffusion_folder": 66_121_731,
    "k_diffusion_butterflies": 66_121_731, "k_diffusion_cars": 113_078_148,
    "k_diffusion_cars_simpler": 49_525_507, "kigo_dev": 7_720_675, "kigo_200m": 201_328_515,
    "noisy_default": 30_788_163, "noisy_lara": 64_166_531, "noisy_lara_local": 64_166_531,
    "noisy_maria": 123_117_187, "noisy_alia": 146_849_155,
    "spiral": None, "digits": None, "digits_guided": None, "fashion": None, "pokemon": None}
SHIPPED = dict(spiral="spirals")


def whole_network(name):
    "The network of a configuration at its full size, without numbers."
    c = read_config(name)
    known = DATASETS.get(c.data.dataset)
    size = c.data.image_size or (known.shape[-1] if known else 0)
    shape = known.shape if known and len(known.shape) == 1 else (known.shape[0] if known else 3, size, size)
    classes = known.classes if known and c.data.labels else 0
    if isinstance(c.data.labels, str):
        classes = int(np.prod([len(LABELS[k]) for k in c.data.labels.split()]))
    told = {"karras": 9, "flips": 1}[c.data.augment[0]] if c.data.augment and c.data.told else 0
    args = network_arguments(c, shape, classes, told)
    with torch.device("meta"): return public_class(c.network["class"])(**args)


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_network_has_the_parameters_of_the_original(name):
    n = sum(p.numel() for p in whole_network(name).parameters())
    if PARAMETERS[name] is not None: assert n == PARAMETERS[name]
    elif name != "pokemon":                               # whose shipped model was told of changes, too
        shipped = load(SHIPPED.get(name, name), device="cpu").net
        assert n == sum(p.numel() for p in shipped.parameters())


# two steps

def picture(k, size=(40, 50)):
    "An image of its own for each number."
    noise = np.random.default_rng(k).integers(0, 255, (*size, 3), dtype=np.uint8)
    return Image.fromarray(noise)


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    "A folder of pictures in two classes, a parquet file as the hub has them, and files of the MNIST family."
    import datasets
    root = tmp_path_factory.mktemp("data")
    for k in range(12):
        (root/"pictures"/"ab"[k % 2]).mkdir(parents=True, exist_ok=True)
        picture(k).save(root/"pictures"/"ab"[k % 2]/f"{k}.png")
    def png(k):
        out = io.BytesIO(); picture(k).save(out, "PNG"); return out.getvalue()
    label = datasets.ClassLabel(names=list("abcdefghij"))
    columns = datasets.Features(dict(image=datasets.Image(), label=label))
    rows = dict(image=[{"bytes": png(k), "path": None} for k in range(12)], label=[k % 10 for k in range(12)])
    datasets.Dataset.from_dict(rows, columns).to_parquet(root/"hub.parquet")
    (root/"idx").mkdir(); sums = {}
    for name in MNIST_FAMILY["fashion"].sums:
        n, images = 20, "images" in name
        head = bytes([0, 0, 8, 3 if images else 1]) + b"".join(
            v.to_bytes(4, "big") for v in ([n, 28, 28] if images else [n]))
        most, each = (255, 28 * 28) if images else (10, 1)
        body = np.random.default_rng(0).integers(0, most, (n, each), np.uint8)
        sums[name] = hashlib.md5(raw := head + body.tobytes()).hexdigest()
        (root/"idx"/f"{name}.gz").write_bytes(gzip.compress(raw))
    return root, sums


def sprites(path=None, shiny=None, labels=None, split="all", size=48, download=True):
    "Drawn creatures in the place of the archive, whose pictures have checksums."
    data = creatures(30, size=size)
    names = [labels] if isinstance(labels, str) else list(labels or ())
    n = int(np.prod([len(LABELS[k]) for k in names]))
    data.y, data.classes = (torch.arange(30) % n, tuple(map(str, range(n)))) if names else (None, None)
    return data


SMALL = { # what makes a network of each class small
    "UNet": ["network.model_channels=8"], "PointNet": [], "FlaxUNet": ["network.model_channels=8"],
    "NoisyUNet": ["network.width=2", "network.time_channels=4"], "KDiffusionUNet": ["network.mapping_dim=8"],
    "KigoUNet": ["network.outer_channels=8", "network.sinusoid_dim=8", "network.emb_dim=8"]}


def small(name, root):
    "Overrides for two steps at a small size, on data of the same format."
    c = read_config(name)
    out = ["train.batch_size=4", "train.steps=2", "train.minutes=null", "train.epochs=null",
           "sample.every=2", "sample.n=3", "sample.n_steps=2", *SMALL[c.network["class"]]]
    if c.network["class"] == "KDiffusionUNet":
        k = len(c.network["channels"])
        out += [f"network.channels={[8] * k}", f"network.depths={[1] * k}"]
    if c.network["class"] == "KigoUNet":
        levels = [dict(a, channels=8, blocks=1, groups=2, head_channels=4) for a in c.network["levels"]]
        out += [f"network.levels={json.dumps(levels)}"]
    own = c.data.dataset
    if own == "digits": out += ["data.options.full=false", "data.items=40"]
    elif own == "fashion": out += [f"data.path={root/'idx'}"]
    elif own in ("cifar10", "flowers102"):
        out += [f"data.path={root/'hub.parquet'}", "data.options.cache=false"]
    elif "/" in own and "data/" not in own and "pictures" not in own:
        kept = c.data.options
        out += [f"data.dataset={root/'hub.parquet'}", f"data.options={json.dumps({**kept, 'cache': False})}"]
    elif own not in DATASETS:
        out += [f"data.dataset={root/'pictures'}", "data.options.cache=false"]
    if c.data.image_size and own != "pokemon": out += [f"data.image_size={min(32, c.data.image_size)}"]
    return out


@pytest.mark.parametrize("name", NAMES)
def test_two_steps(name, made_up, tmp_path, monkeypatch):
    root, sums = made_up
    monkeypatch.setitem(MNIST_FAMILY, "fashion", MNIST_FAMILY["fashion"]._replace(sums=sums))
    monkeypatch.setitem(DATASETS, "pokemon", DATASETS["pokemon"]._replace(read=sprites))
    t = from_config(name, *small(name, root), device="cpu")
    log = t.fit(tmp_path/"zoo"/name)
    assert log["steps"] == 2 and np.isfinite(log["loss"]).all()
    kept = read_checkpoint(tmp_path/"zoo"/name)
    assert kept.config["config"]["name"] == name and kept.config["config"]["train"]["steps"] == 2
    assert len(list((tmp_path/"zoo"/name/"samples").glob("*.png"))) == 1
    again = load(tmp_path/"zoo"/name, device="cpu")
    x = again.sample(2, seed=0, n_steps=2)
    assert x.shape == (2, *t.model.data_shape) and x.isfinite().all()


# faults

def test_what_a_user_may_write_wrong_is_told_in_one_sentence(tmp_path):
    good = (CONFIGS/"digits.yaml").read_text()
    faults = {
        "damaged": (good + "\n: : [", "is no readable YAML"),
        "empty": (good.split("\ntrain:")[0] + "\ntrain:\n", "train is empty"),
        "misspelt": (good.replace("  lr:", "  learnrate:"), "there is no key train.learnrate"),
        "range": (good.replace("batch_size: 64", "batch_size: 0"), "train.batch_size=0"),
        "kind": (good.replace("lr: 0.016", "lr: fast"), "train.lr='fast'"),
        "network": (good.replace("class: UNet", "class: Unett"), "(did you mean UNet?)"),
        "on": (good.replace("optimizer: muon", "optimizer: on"), "put text in quotes"),
        "newer": (good.replace("version: 1", "version: 7"), "install a newer one")}
    for name, (text, says) in faults.items():
        path = tmp_path/f"{name}.yaml"
        path.write_text(text)
        with pytest.raises(ValueError) as e: read_config(path)
        assert says in str(e.value) and str(path) in str(e.value) and "\n" not in str(e.value), str(e.value)


def test_an_older_version_is_brought_up_to_date(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "CONFIG_VERSION", 2)
    monkeypatch.setitem(UPGRADES, 1, lambda found: found | {"train": {**found["train"], "lr": .5}})
    assert read_config("digits").train.lr == .5


def test_a_network_alone_may_be_changed_from_the_command_line():
    c = read_config("digits", "data.dataset=cifar10", "data.image_size=32", "network.class=FlaxUNet",
                    "model.class=GaussianDiffusion", "model.self_condition=true")
    assert c.network == {"class": "FlaxUNet"}
    assert c.model == {"class": "GaussianDiffusion", "self_condition": True}
    args = network_arguments(c, (3, 32, 32))
    assert (args["in_channels"], args["out_channels"], args["T"]) == (6, 3, 1000)


def test_the_line_of_overrides_that_was_asked_for(made_up):
    "Another set, another size, self-conditioning: what follows from them follows."
    root, _ = made_up
    t = from_config("julia_digits", "train.lr=1e-3", "model.self_condition=true",
                    f"data.path={root/'hub.parquet'}", "data.dataset=cifar10", "data.image_size=32",
                    "data.valid=0", "data.options.cache=false", "network.model_channels=8",
                    "train.steps=1", "train.batch_size=4", device="cpu")
    assert t.fit()["steps"] == 1 and t.model.net.in_channels == 6 and t.model.data_shape == (3, 32, 32)


@pytest.mark.parametrize("labels", [False, True])
def test_an_archive_is_data_with_its_folders_as_classes_if_wanted(made_up, tmp_path, labels):
    root, _ = made_up
    archive = shutil.make_archive(str(tmp_path/"pictures"), "zip", root/"pictures")
    t = from_config("folder", f"data.dataset={archive}", "data.options={cache: false}",
                    "network.model_channels=8", "train.steps=1", "train.batch_size=4",
                    f"data.labels={str(labels).lower()}", device="cpu")
    assert len(t.data) == 12 and t.fit()["steps"] == 1
    assert t.model.net.num_classes == 2 * labels
    assert t.model.card.get("classes") == (["a", "b"] if labels else None)


def test_a_run_that_was_begun_by_hand_has_no_configuration(tmp_path):
    t = from_config("spiral", device="cpu")
    fit(t.model, t.data, steps=1, batch_size=4, run=tmp_path/"zoo"/"a", device="cpu")
    with pytest.raises(ValueError, match="was not begun from a configuration"): read_config(tmp_path/"zoo")


def test_a_damaged_configuration_in_a_checkpoint_is_told(tmp_path):
    from_config("spiral", device="cpu").begin(tmp_path/"zoo"/"a")
    path = tmp_path/"zoo"/"a"/"000000"/"config.yaml"
    path.write_text(path.read_text().replace("batch_size: 512", "batch_size: many"))
    with pytest.raises(ValueError, match="train.batch_size='many'"): read_config(tmp_path/"zoo")


def test_settings_of_a_trained_run_are_those_that_were_read(tmp_path):
    c = from_config("spiral", "train.minutes=null", "train.steps=1", device="cpu")
    c.fit(tmp_path/"zoo"/"a")
    assert read_config(tmp_path/"zoo") == read_config(tmp_path/"zoo"/"a"/"000001") == c.config


@pytest.mark.parametrize("to, package", [("tensorboard", "tensorboard"), ("wandb", "wandb"),
                                         ("trackio", "trackio")])
def test_a_tracker_that_is_not_installed_is_said_before_the_first_step(to, package, tmp_path):
    if importlib.util.find_spec(package): pytest.skip(f"{package} is here")
    training = from_config("spiral", "train.steps=2", f"track.to={to}", device="cpu")
    with pytest.raises(ImportError, match=f"pip install {package}"): training.fit(tmp_path/"run")
    assert not (tmp_path/"run").exists()


def test_the_section_track_is_checked():
    with pytest.raises(ValueError, match="did you mean|choose"): read_config("spiral", "track.to=wandbb")
    with pytest.raises(ValueError, match="track.every"): read_config("spiral", "track.every=3")
