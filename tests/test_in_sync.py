"""The check that notebooks and library agree must itself be able to fail: a tiny project, broken in every way
it knows."""
import json
import subprocess
import sys

import pytest
import scripts
from in_sync import problems

TOML = ('[project]\nname = "tiny"\n[tool.nbdev]\nlib_path '
        '= "tiny"\nnbs_path = "nbs"\nupdate_pyproject = false\n')


def notebook(path, *sources, **metadata):
    cells = [dict(cell_type="code", id=f"cell{i}", metadata=dict(metadata),
                  source=s, execution_count=None, outputs=[])
             for i, s in enumerate(sources)]
    path.write_text(json.dumps(dict(cells=cells, metadata={}, nbformat=4, nbformat_minor=5), indent=1) + "\n")


@pytest.fixture
def tiny(tmp_path):
    (tmp_path/"pyproject.toml").write_text(TOML)
    for folder in ("nbs", "tiny"): (tmp_path/folder).mkdir()
    (tmp_path/"tiny/__init__.py").write_text('__version__ = "0.0.1"\n')
    notebook(tmp_path/"nbs/00_a.ipynb", "#| default_exp a", "#| export\ndef one(): return 1")
    notebook(tmp_path/"nbs/01_b.ipynb", "#| default_exp b", "#| export\nfrom tiny.a import one")
    code = ("from nbdev.doclinks import nbdev_export "
            "as e; from nbdev.clean import nbdev_clean as c; e.__wrapped__(); c.__wrapped__()")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    return tmp_path


def test_exported_project_is_in_sync(tiny):
    assert problems(tiny) == []


def test_every_kind_of_difference_is_named_with_its_fix(tiny):
    with (tiny/"tiny/a.py").open("a") as f: f.write("# by hand\n")
    (tiny/"tiny/b.py").unlink()
    (tiny/"tiny/left_over.py").write_text("")
    notebook(tiny/"nbs/02_c.ipynb", "1 + 1", tags=["x"])
    found = problems(tiny)
    assert len(found) == 4, found
    expected = ("tiny/a.py is not what", "tiny/b.py is missing",
                "tiny/left_over.py is made by no notebook", "nbs/02_c.ipynb is not clean")
    for said in expected:
        assert sum(f.startswith(said) for f in found) == 1, (said, found)
    assert sum("make export" in f for f in found) == 3


def test_a_changed_notebook_and_a_missing_default_exp_are_found(tiny):
    text = (tiny/"nbs/00_a.ipynb").read_text()
    (tiny/"nbs/00_a.ipynb").write_text(text.replace("return 1", "return 2"))
    notebook(tiny/"nbs/02_c.ipynb", "#| export\ndef nowhere(): pass")
    found = problems(tiny)
    assert any("tiny/a.py is not what" in f
               for f in found) and any("default_exp" in f and "02_c" in f for f in found), found


def test_broken_notebooks_are_named(tiny):
    (tiny/"nbs/00_a.ipynb").write_text("<<<<<<< ours")
    assert [f.split(" is not a readable")[0] for f in problems(tiny)] == ["nbs/00_a.ipynb"]
    notebook(tiny/"nbs/00_a.ipynb", "#| default_exp a", "#| export\ndef one(: return 1")
    assert "cannot be exported" in problems(tiny)[0]


def test_a_script_is_what_its_chapter_tells(tiny):
    (tiny/"nbs/1_floor").mkdir()
    notebook(tiny/"nbs/1_floor/10_c.ipynb", "#| default_exp c")
    path = tiny/"nbs/1_floor/10_c.ipynb"
    nb = json.loads(path.read_text())
    nb["cells"].append(dict(cell_type="markdown", id="js", metadata={},
                            source="One.\n\n```js\nlet a = 1;\n```\n\nTwo.\n\n```js\nlet b = 2;\n```"))
    path.write_text(json.dumps(nb, indent=1) + "\n")
    scripts.write(tiny)
    script = tiny/"tiny/assets/c.js"
    assert script.read_text().endswith("let a = 1;\n\nlet b = 2;\n")
    assert not [f for f in problems(tiny) if ".js" in f]
    script.write_text("let a = 3;")
    assert ["tiny/assets/c.js is not what" in f for f in problems(tiny) if ".js" in f] == [True]
