"The package's metadata: one place for each fact, nothing missing, nothing that is not used."
import ast
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import ddpm_edu
import pytest
from test_layers import code_cells

ROOT = Path(__file__).parents[1]
CARD = "torch fastcore nbdev matplotlib ipywidgets einops pytest jupyterlab".split()


@pytest.fixture(scope="module")
def package():
    config = ConfigParser(inline_comment_prefixes="#", delimiters="=", interpolation=None)
    config.read(ROOT/"settings.ini", encoding="utf-8")
    return config["package"]


def canonical(name): return re.sub(r"[-_.]+", "-", name).lower()
def names(requirements):
    return {canonical(re.match(r"[\w.-]+", line)[0]) for line in requirements.split("\n") if line}


def needs(files):
    """The distributions that the imports in `files` (Python files or notebooks) need, the standard library
    and our own apart."""
    ours = {"ddpm_edu",
            *(p.stem for folder in ("tests", "benchmarks", "tools") for p in (ROOT/folder).glob("*.py"))}
    # that one is not installed here
    distributions, found = {"open_clip": ["open-clip-torch"]} | packages_distributions(), {}
    for file in files:
        for code in code_cells(file) if file.suffix == ".ipynb" else [file.read_text(encoding="utf-8")]:
            for node in ast.walk(ast.parse(re.sub(r"^[%!].*", "", code, flags=re.M))):
                modules = [a.name for a in node.names] if isinstance(node, ast.Import) else \
                          [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
                for top in {m.split(".")[0] for m in modules} - ours - set(sys.stdlib_module_names):
                    for name in distributions.get(top, [top]): found[canonical(name)] = file.name
    return found


def test_the_eight_packages_are_named(package):
    assert set(CARD) - names(package["requirements"]) - names(package["dev_requirements"]) == set()


def test_every_further_requirement_has_a_reason():
    lines = re.findall(r"^    ([\w.-]+)>=(.*)$", (ROOT/"settings.ini").read_text(encoding="utf-8"), re.M)
    assert len(lines) > len(CARD) and [name
                                       for name, rest in lines if name not in CARD and "#" not in rest] == []


def test_the_library_names_what_it_imports_and_no_more(package):
    used, named = needs((ROOT/"ddpm_edu").rglob("*.py")), names(package["requirements"])
    extras = (names(package["solvers_requirements"]) | names(package["clip_requirements"])
              | names(package["hub_requirements"]) | names(package["serve_requirements"])
              | names(package["scale_requirements"]))
    assert {k: v for k, v in used.items() if k not in named | extras} == {}
    assert named - set(used) - set(CARD) == set()


def test_the_extra_is_only_imported_where_it_is_used(package):
    tops = [node for file in (ROOT/"ddpm_edu").rglob("*.py")
            for node in ast.parse(file.read_text(encoding="utf-8")).body]
    imports = [node for node in tops if isinstance(node, (ast.Import, ast.ImportFrom))]
    at_once = {(getattr(node, "module", None) or node.names[0].name).split(".")[0] for node in imports}
    optional = {*names(package["solvers_requirements"]), *names(package["hub_requirements"]),
                *names(package["serve_requirements"]), *names(package["scale_requirements"]), "open_clip"}
    assert "torch" in at_once and at_once & optional == set()
    assert names(package["solvers_requirements"]) - names(package["dev_requirements"]) == set()


def test_notebooks_and_tests_import_nothing_unnamed(package):
    files = [p for pattern in ("nbs/**/[!.]*.ipynb", "tests/*.py", "setup.py")
             for p in ROOT.glob(pattern) if "checkpoint" not in p.name]
    known = (names(package["requirements"]) | names(package["dev_requirements"])
             | names(package["clip_requirements"]))
    assert {k: v for k, v in needs(files).items() if k not in known} == {}


def test_what_is_named_is_pinned(package):
    pins = names("\n".join(x for x in (ROOT/"constraints.txt").read_text().splitlines() if x and x[0] != "#"))
    assert (names(package["requirements"]) | names(package["dev_requirements"])) - pins == set()


def test_the_version_stands_in_one_place_and_setup_reads_it_there(tmp_path, package):
    assert ("version" not in package
            and "version" in tomllib.loads((ROOT/"pyproject.toml").read_text())["project"]["dynamic"])
    for name in ("setup.py", "settings.ini", "pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        shutil.copy(ROOT/name, tmp_path)
    (tmp_path/"ddpm_edu").mkdir()
    text = (ROOT/"ddpm_edu/__init__.py").read_text(encoding="utf-8").replace(f'"{ddpm_edu.__version__}"',
        '"98.7.6"')
    (tmp_path/"ddpm_edu/__init__.py").write_text(text)
    run = subprocess.run([sys.executable, "setup.py", "--version"],
                         cwd=tmp_path, capture_output=True, text=True)
    assert run.stdout.split()[-1:] == ["98.7.6"], run.stderr


@pytest.mark.parametrize("command", ["nbdev_test", "nbdev-test",
                                     "nbdev_export", "nbdev-export", "nbdev_clean", "nbdev_update"])
def test_nbdev_answers_to_both_spellings(command):
    run = subprocess.run([Path(sysconfig.get_path("scripts"))/command, "--help"],
                         capture_output=True, text=True)
    assert run.returncode == 0 and f"usage: {command}" in run.stdout, run.stderr
