"""README.md is what the cover renders to, fits on a screen or two, and has no dead links; the cover leads to
every notebook."""
import json
import re

import pytest
from readme import ROOT, from_the_top, render

TEXT = (ROOT/"README.md").read_text(encoding="utf-8")
COVER = ROOT/"nbs/index.ipynb"


def test_readme_is_rendered_from_the_cover():
    assert render(COVER) == TEXT, "README.md and nbs/index.ipynb differ: run `make readme`"


def test_it_is_short_and_begins_with_python():
    assert len(re.sub(r"```.*?```", "", TEXT, flags=re.S).split()) <= 900
    first = TEXT.split("```python\n")
    assert len(first[0].splitlines()) <= 12 and len(first[1].split("```")[0].splitlines()) <= 8


def test_the_cover_leads_to_every_notebook():
    notebooks = {p.relative_to(ROOT/"nbs").as_posix()
                 for p in (ROOT/"nbs").rglob("[0-9]*_*.ipynb") if ".ipynb_checkpoints" not in p.parts}
    text = "".join("".join(cell["source"]) for cell in json.loads(COVER.read_text(encoding="utf-8"))["cells"])
    assert {n for n in notebooks if f"({n})" not in text} == set()


def test_rendering_by_example(tmp_path):
    (tmp_path/"nbs").mkdir()
    def write(*cells): (tmp_path/"nbs/index.ipynb").write_text(json.dumps({"cells": cells}))
    code = dict(cell_type="code", source=["#| eval: false\n", "1 + 1"], outputs=[
        dict(data={"text/plain": ["  0%|          | 0/5"]}),
        dict(data={"text/plain": ["2"]}), dict(text=["seen\n"])])
    write(dict(cell_type="markdown", source="# T"), code,
          dict(cell_type="code", source="#| hide\nimport os", outputs=[]),
          dict(cell_type="markdown", source="<!-- cover only -->\na table"))
    body = render(tmp_path/"nbs/index.ipynb").split("\n\n", 1)[1]
    assert body == "# T\n\n```python\n1 + 1\n```\n\n```text\nseen\n```\n"
    write(code | dict(outputs=[dict(data={"image/png": "", "text/plain": "<Figure>"})]))
    with pytest.raises(ValueError, match="images/"): render(tmp_path/"nbs/index.ipynb")


@pytest.mark.parametrize("link, fixed", [
    ("[a](0_ground/10_core.ipynb)", "[a](nbs/0_ground/10_core.ipynb)"),
    ("![b](../images/b.gif)", "![b](images/b.gif)"),
    ("[c](https://example.org/x)", "[c](https://example.org/x)"), ("[d](#offline)", "[d](#offline)"),
    ('<img src="../images/e.png" width="50">', '<img src="images/e.png" width="50">'),
    ("`[f](x)`", "`[f](x)`"),
    ("```sh\n[g](x)\n```", "```sh\n[g](x)\n```"),
    ("[h](tutorials/01.ipynb), [i](../LICENSE)", "[h](nbs/tutorials/01.ipynb), [i](LICENSE)"),
])
def test_links_are_corrected(link, fixed): assert from_the_top(link, "nbs") == fixed
