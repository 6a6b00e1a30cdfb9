"What `import ddpm_edu` costs and offers."
import subprocess
import sys
from importlib import import_module

import ddpm_edu
import pytest

HEAVY = "matplotlib ipywidgets IPython pooch PIL jupyterlab nbdev pytest requests".split()


def fresh(code):
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.split()


def test_a_script_imports_nothing_heavy():
    heavy = fresh("import sys, torch; before = set(sys.modules)\nfrom ddpm_edu import GaussianDiffusion, UNet, digits, fit\n"
                  f"print(*({{m.split('.')[0] for m in set(sys.modules) - before}} & {set(HEAVY)!r}))")
    assert heavy == [], f"`from ddpm_edu import ...` also imports {heavy}: import these inside the functions that use them"


def test_the_package_alone_imports_not_even_torch():
    assert fresh("import sys, ddpm_edu; print('torch' in sys.modules, ddpm_edu.__version__)") == ["False", ddpm_edu.__version__]


@pytest.mark.parametrize("name", ddpm_edu._homes)
def test_every_offered_name_is_what_its_module_exports(name):
    module = import_module(f"ddpm_edu.{ddpm_edu._homes[name]}")
    assert getattr(ddpm_edu, name) is getattr(module, name) and name in module.__all__ and name in dir(ddpm_edu)


def test_a_model_can_be_saved_however_it_was_imported():
    assert fresh("from ddpm_edu import GaussianDiffusion; print(callable(GaussianDiffusion.save))") == ["True"]


def test_unknown_names_are_ordinary_errors():
    with pytest.raises(AttributeError, match="module 'ddpm_edu' has no attribute 'Gaussian'"): _ = ddpm_edu.Gaussian
    with pytest.raises(ImportError, match="cannot import name 'Gaussian'"): exec("from ddpm_edu import Gaussian")
    assert not hasattr(ddpm_edu, "Gaussian")
