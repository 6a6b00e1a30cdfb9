"What `import ddpm_edu` costs, what its doors offer, and what an editor sees."
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import ddpm_edu
import jedi
import pytest
from doors import door
from stubs import stub

ROOT = Path(__file__).parents[1]
HEAVY = "matplotlib ipywidgets IPython pooch PIL jupyterlab nbdev pytest requests".split()
FLOORS = sorted(p.parent.name for p in (ROOT/"ddpm_edu").glob("*/__init__.py"))
MODELS = ["GaussianDiffusion", "KarrasDiffusion",
          "CodeDiffusion", "HalfColourDiffusion", "LeNet5", "SpriteClassifier"]


def fresh(code):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_a_script_imports_nothing_heavy():
    heavy = fresh("import sys, torch; before = set(sys.modules)\nfrom ddpm_edu import GaussianDiffusion, "
                  "UNet, digits, fit\n"
                  f"print(*({{m.split('.')[0] for m in set(sys.modules) - before}} & {set(HEAVY)!r}))")
    assert heavy == [], (f"`from ddpm_edu import ...` also imports {heavy}: "
                         f"import these inside the functions that use them")


def test_the_package_and_its_doors_import_not_even_torch():
    doors = ", ".join(f"ddpm_edu.{floor}" for floor in FLOORS)
    assert fresh(f"import sys, ddpm_edu, {doors}; print('torch' in sys.modules, "
                 f"ddpm_edu.__version__)") == ["False", ddpm_edu.__version__]


@pytest.mark.parametrize("name", ddpm_edu.__all__)
def test_every_name_at_the_front_door_is_there(name):
    value = getattr(ddpm_edu, name)
    if name == "__version__": return
    assert name in dir(ddpm_edu) and any(getattr(import_module(f"ddpm_edu.{f}"), name, None) is value
                                         for f in [*FLOORS, "core"])


@pytest.mark.parametrize("floor", FLOORS)
def test_a_door_offers_what_its_rooms_export(floor):
    package = import_module(f"ddpm_edu.{floor}")
    assert ((ROOT/"ddpm_edu"/floor/"__init__.pyi").read_text(encoding="utf-8")
            == door(ROOT, floor)), "run `make export`"
    assert package.__all__ and all(getattr(package, name) is not None for name in package.__all__)


def test_names_of_an_earlier_front_door_are_all_still_there():
    old = ("GaussianDiffusion UNet UNetFixed ConditionalChain "
           "PointNet fit load fld digits spiral SAMPLERS KarrasDiffusion fashion "
           "image_folder pokemon creatures hub_data Augmented "
           "GuidanceExplorer default_device set_seed __version__")
    assert set(old.split()) - set(ddpm_edu.__all__) == set()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_can_be_saved_however_it_was_imported(name):
    "By its module, by its floor's door, and (some) by the front door, each in a process of its own."
    rooms = [f"ddpm_edu.{f}{room}" for f in ("models", "measuring", "sprites")
             for room in ["", *(f".{p.stem}" for p in (ROOT/"ddpm_edu"/f).glob("[a-z]*.py"))]]
    ways = [m for m in rooms if name in getattr(import_module(m), "__all__", ())]
    assert len(ways) >= 2, ways
    for way in [*ways, *["ddpm_edu"] * (name in ddpm_edu.__all__)]:
        assert fresh(f"from {way} import {name}; print(callable({name}.save))") == ["True"], way


def test_unknown_names_are_ordinary_errors():
    with pytest.raises(AttributeError, match="ddpm_edu"): _ = ddpm_edu.Gaussian
    with pytest.raises(ImportError, match="cannot import name 'Gaussian'"):
        exec("from ddpm_edu import Gaussian")
    assert not hasattr(ddpm_edu, "Gaussian")


# editors

def test_stubs_are_those_of_the_modules():
    for module in (ROOT/"ddpm_edu").rglob("*.py"):
        if module.name in ("__init__.py", "_modidx.py"): continue
        text, file = stub(module), module.with_suffix(".pyi")
        assert (file.read_text(encoding="utf-8") if file.exists()
                else None) == text, f"{file}: run `make export`"


def completed(code):
    "What jedi, the engine of many editors, offers at the end of `code`."
    return {c.name for c in jedi.Script(code, project=jedi.Project(ROOT)).complete()}


def signed(code):
    "Parameters and docstring of the call at the end of `code`, as jedi sees them."
    s = jedi.Script(code, project=jedi.Project(ROOT)).get_signatures()
    assert s, f"nothing is known of the call in {code!r}"
    return [p.name for p in s[0].params], s[0].docstring(raw=True)


SAMPLING = ("labels guidance_scale sampler n_steps "
            "seed noise spacing sigmas threshold guidance_rescale guidance_interval".split())


@pytest.mark.parametrize("code, names", [
    ("from ddpm_edu import fi", ["fit"]),
    ("from ddpm_edu import ", ["TensorData", "save_image", "show_images", "cosine_beta_schedule"]),
    ("from ddpm_edu.denoising import dd", ["ddim", "ddpm"]),
    ("import ddpm_edu\nddpm_edu.Gau", ["GaussianDiffusion"]),
    ("from ddpm_edu import GaussianDiffusion\nGaussianDiffusion(1, 2, 3).", [
        "sample", "sample_iter", "save", "loss", "denoiser",
        "p_losses", "q_sample", "levels", "net", "data_shape", "card", "device"]),
    ("from ddpm_edu import KarrasDiffusion\nKarrasDiffusion(1, 2).", [
        "sample", "sample_iter", "save", "loss", "loss_at", "denoiser", "levels", "sigma_data", "sampling"]),
    ("from ddpm_edu import load\nload('digits').", ["sample", "sample_iter", "save", "card"]),
    ("from ddpm_edu import digits\ndigits().",
     ["batches", "split", "subset", "sample", "classes", "shape", "x", "y"]),
    ("from ddpm_edu import TensorData\nTensorData(1).", ["batches", "split", "subset", "sample"]),
    ("from ddpm_edu import UNet\nUNet(1, 8).",
     ["forward", "check_size", "embed", "config", "num_classes", "T"]),
])
def test_an_editor_completes(code, names):
    assert set(names) - completed(code) == set()


@pytest.mark.parametrize("code, names, doc", [
    ("from ddpm_edu import fit\nfit(", ["model", "data", "epochs", "steps", "minutes"],
     "Train with averaged weights"),
    ("from ddpm_edu import load\nload(", ["name_or_path", "net", "device"], "Get a saved model back"),
    ("from ddpm_edu import load\nload('digits').sample(",
     ["n", *SAMPLING, "preset", "batch_size", "options"], "Draw `n` samples"),
    ("from ddpm_edu import load\nload('digits').sample_iter(",
     ["n", *SAMPLING, "preset", "start", "options"], "Sample step by step"),
    ("from ddpm_edu import UNet\nUNet(",
     ["in_channels", "model_channels", "T", "channel_multipliers", "num_classes"], ""),
    ("from ddpm_edu import GaussianDiffusion\nGaussianDiffusion(",
     ["net", "betas", "data_shape", "objective"], ""),
    ("from ddpm_edu.denoising import ddim\nddim(", ["D", "x", "sigmas", "eta"], "DDIM with any `eta`"),
])
def test_an_editor_knows_arguments(code, names, doc):
    params, told = signed(code)
    assert [p for p in params if p != "self"][:len(names)] == names and told.startswith(doc)


@pytest.mark.parametrize("door", ["ddpm_edu", *(f"ddpm_edu.{f}" for f in FLOORS)])
def test_an_editor_follows_every_name_at_every_door(door):
    names = [n for n in import_module(door).__all__ if n != "__version__"]
    script = lambda n: jedi.Script(f"from {door} import {n}\n{n}", project=jedi.Project(ROOT))
    assert [n for n in names if not script(n).infer(2, 0)
            and not script(n).goto(2, 0, follow_imports=True)] == []
