"""The site from notebooks: what becomes of links, names, pictures, answers and signatures, and that what is
dead is found. Nothing here needs a browser or the extra `docs`; `tests/browser/crawl.py` does."""
import ast
import base64
import io
import json
import re

import pytest
from make_site import drawing_pages, in_site, navigation, write
from pages import ROOT, chapters
from PIL import Image
from site_check import dead
from site_convert import Site, alternative, answer, slug
from site_names import Row, card, parameters, signature

SITE = Site(ROOT)
PAGES = {key: SITE.page(key) for key in SITE.sources}


def png(width=3, height=2):
    Image.new("RGB", (width, height)).save(out := io.BytesIO(), "PNG")
    return base64.b64encode(out.getvalue()).decode()


def md(text, **metadata): return dict(cell_type="markdown", source=text, metadata=metadata)
def code(text, *outputs): return dict(cell_type="code", source=text, metadata={}, outputs=list(outputs))
def drawn(): return dict(output_type="display_data", data={"image/png": png(), "text/plain": "<Figure>"})
def printed(text): return dict(output_type="stream", name="stdout", text=text)


@pytest.fixture
def book(tmp_path):
    "Write a book of two chapters below `tmp_path`; a function that gives the text of the first."
    def make(*cells, second=()):
        for name, nb in {"index": [md("# Cover")], "0_ground/10_a": [md("# A title"), *cells],
                         "0_ground/20_b": [md("# The other"), *second]}.items():
            path = tmp_path/f"nbs/{name}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(dict(cells=nb)))
        make.site = Site(tmp_path)
        return make.site.page("0_ground/10_a")
    return make


def test_links_lead_to_pages_and_files(book, tmp_path):
    (tmp_path/"INSTALL.md").write_text("# Installing\n\n## No network?\n[b](nbs/0_ground/20_b.ipynb)\n")
    (tmp_path/"images").mkdir(); (tmp_path/"images/x.png").touch(); (tmp_path/"LICENSE").touch()
    links = {"[b](20_b.ipynb#so-be-it)": "[b](20_b.md#so-be-it)", "[`b`](20_b.ipynb)": "[`b`](20_b.md)",
             "[i](../../INSTALL.md)": "[i](../install.md)", "[c](../index.ipynb)": "[c](../index.md)",
             "![x](../../images/x.png)": "![x](../files/images/x.png)",
             "[l](../../LICENSE)": "[l](../files/LICENSE.txt)"}
    stay = ["[out](https://example.org/a.ipynb)", "[here](#a-title)", "`[no](20_b.ipynb)`",
            "[gone](30_c.ipynb)", "\n```sh\n[no](20_b.ipynb)\n```"]
    assert " ".join([*links.values(), *stay]) in book(md(" ".join([*links, *stay])))
    assert {"files/images/x.png", "files/LICENSE.txt"} < set(book.site.files)
    assert book.site.page("install") == ("# Installing {#installing}\n\n## No network? {#no-network}\n"
                                         "[b](0_ground/20_b.md)\n")


def test_headings_can_be_linked_to_as_on_github(book):
    assert slug("Why float64, and `why` only here?") == "why-float64-and-why-only-here"
    text = book(md("## Twice\n\n## Twice\n```sh\n# a comment\n```\n## f"), code("#| export\ndef f(): pass"))
    assert "## Twice {#twice}\n\n## Twice {#twice-" in text and "\n# a comment\n" in text
    assert "### `f` {#f .api .function}" in text and "## f {#f-" in text  # the name keeps its anchor


NAMES = [code("#| export\nclass A:\n    def go(self): pass\nclass Model(A): pass"),
         code("#| export\n@patch\ndef loss(self:Model): pass"),
         code("#| export\ndef fit(x): pass\ndef _own(): pass\ndef karras(): pass"),
         code("#| export\nKINDS = {'karras': fit, 'fit': fit}")]


@pytest.mark.parametrize("said, there", [
    ("fit", "20_b.html#fit"), ("fit(model, steps=5)", "20_b.html#fit"),
    ("ddpm_edu.ground.b.fit", "20_b.html#fit"), ("KINDS", "20_b.html#KINDS"),
    ("Model.loss", "20_b.html#Model.loss"), ("A.go", "20_b.html#A"), ("Model.go", "20_b.html#A"),
    ("karras()", "20_b.html#karras"), ("karras", None), ("_own", None), ("loss", None),
    ("fitted", None), ("fit me", None), ("x.fit", None), ("fit = 3", None)])
def test_names_link_to_their_definitions(book, said, there):
    text = book(md(f"see `{said}` here, [`{said}`](20_b.ipynb)\n```sh\n`{said}`\n```"), second=NAMES)
    shown = f"`{said}`" if there is None else f'<a class="name" href="{there}"><code>{said}</code></a>'
    assert text.endswith(f"see {shown} here, [`{said}`](20_b.md)\n```sh\n`{said}`\n```\n")


def test_what_prose_calls_a_model_is_one():
    assert SITE.names["model.sample"] == SITE.names["DenoisingModel.sample"] == ("4_models/20_base",
                                                                              "DenoisingModel.sample")
    assert SITE.names["model.loss"] == ("4_models/40_gaussian", "GaussianDiffusion.loss")
    assert "digits()" in SITE.names and "digits" not in SITE.names  # the data, and weights of that name


FUNCTION = '''
def f(
    x:Tensor, # `[B]`, the data
    n:int=3, *more:str, # how many
    key:str|None=None,
)->Tensor: # `[B]`, changed
    "Do it."
    y = x # not a parameter
    return y
'''


def of(source): return parameters(ast.parse(source).body[0], source)


def test_a_table_of_parameters():
    assert of(FUNCTION) == [Row("x", "Tensor", "", "`[B]`, the data"), Row("n", "int", "3"),
                            Row("*more", "str", "", "how many"), Row("key", "str | None", "None"),
                            Row("returns", "Tensor", "", "`[B]`, changed")]
    assert signature("f", of(FUNCTION)) == "f(x, n=3, *more, key=None)"
    assert of("def g(a:int, b:int)->None: pass # nothing") == [Row("a", "int"), Row("b", "int")]
    assert of("@patch\ndef m(self:A,\n    x:int, # one\n)->int: # two\n    return x") == [
        Row("x", "int", "", "one"), Row("returns", "int", "", "two")]
    assert of("class C(nn.Module):\n    def __init__(self,\n        width:int, # in pixels\n    ): pass") == [
        Row("width", "int", "", "in pixels")]
    assert of("class N(NamedTuple):\n    'Two.'\n    a:int # first\n    b:str='x' # second\n    _c:int") == [
        Row("a", "int", "", "first"), Row("b", "str", "'x'", "second")]


def test_a_card_has_signature_docstring_and_table_and_the_code_follows(book):
    text = book(code("#| export\n" + FUNCTION.strip()))
    parts = ["### `f` {#f .api .function}", "<code>f(x, n=3, *more, key=None)</code>",
             '<p class="doc">Do it.</p>', '<table class="parameters">', "```python\ndef f("]
    assert sorted(parts, key=text.index) == parts and "#|" not in text
    assert "<td><code>[B]</code>, the data</td>" in text
    node = ast.parse("def g(x): 'a < b & `c < d`, *so*'").body[0]
    assert "a &lt; b &amp; <code>c &lt; d</code>, *so*</p>" in card(node, "", "p", {}, "g")


def test_what_is_hidden_folded_and_left_out(book):
    text = book(code("#| default_exp ground.a"), md("Says what.", nbdev=dict(export="true")),
                code("#| export\nimport torch"), code("#| hide\nsecret = 1", printed("secret")),
                code("#| echo: false\nquiet = 1", printed("loud")),
                code("import os"), code("used = os", printed("1")),
                code("#| code-fold: true\n# Answer to 1: because\n# it `is`.\nassert 1", printed("folded")),
                dict(md("[before](x.ipynb)"), id="chapters-around"), md("## Export -"))
    assert "<summary>Imports</summary>\n\n```python\nimport torch\n```" in text
    for absent in ("secret", "quiet", "chapters-around", "before", "Export", "#|"):
        assert absent not in text, absent
    assert "```{.text .output}\nloud\n```" in text and "```python\nimport os\n\nused = os\n```" in text
    assert "<code>ddpm_edu.ground.a</code>" in text
    assert 'href="../notebooks/0_ground/10_a.ipynb" download' in text
    assert '<div class="module" markdown="1">\n\nSays what.\n\n</div>' in text
    head = '<details class="answer" markdown="1">\n<summary>Answer to 1</summary>'
    inside = text.split(head)[1].split("</details>")[0]
    assert "<p>Because it <code>is</code>.</p>" in inside and "```python\nassert 1\n```" in inside
    assert "folded" in inside and answer("x = 1") == ("Code", "", "x = 1")
    assert answer("# Answer to 12. x0, a guess\nf()") == ("Answer to 12", "x0, a guess", "f()")


def test_pictures_say_what_they_show(book):
    before = "One. See **gaps** in [the `grey`](20_b.ipynb) at $\\sigma = 3$."
    text = book(md(f"## A head\n\nNot yet.\n\n{before}"),
                code("a", drawn()), md("Then what?"), code("b", drawn(), drawn()), code("c", drawn()),
                md("| a | table |\n\nIt means this. And that."))
    alts = re.findall(r'alt="([^"]*)"', text)
    assert alts == [
        "One. See gaps in the grey at sigma = 3.",
        "Then what? (1 of 2)", "Then what? (2 of 2)", "It means this."]
    names = [f"pictures/0_ground/10_a-{n}.png" for n in ("2", "4", "4-1", "5")]
    assert re.findall(r'src="\.\./([^"]*)"', text) == names and 'width="3" height="2"' in text
    assert all(book.site.files[name][:4] == b"\x89PNG" for name in names)
    long = "This is a sentence of some length. " * 20 + "The last one stays."
    assert len(alternative(long)) <= 220 and alternative(long).endswith("The last one stays.")


def test_a_table_that_a_cell_writes_is_a_table(book):
    shown = {"text/markdown": "| a |\n| --- |\n| `b` |", "text/plain": "<Markdown object>"}
    page = book(code("table()", dict(output_type="display_data", data=shown)))
    assert "\n| a |\n| --- |\n| `b` |" in page and "object" not in page


def test_a_panel_is_named_and_a_progress_bar_is_not_shown(book):
    widget = lambda text: dict(data={"application/vnd.jupyter.widget-view+json": {}, "text/plain": text})
    assert '<p class="panel">' in book(code("a", widget("HBox(children=(Image()))")))
    assert book(code("a", widget(" 0%|          | 0/3"))).endswith("```python\na\n```\n")


def test_the_navigation_is_the_order_of_reading(book, tmp_path):
    book()
    assert navigation(book.site, {}) == [{"Start": "index.md"}, {"Ground": [
        {"A title": "0_ground/10_a.md"}, {"The other": "0_ground/20_b.md"}]}, {"Project": []}]


def test_pages_that_draw_are_a_part_of_the_site(book, tmp_path):
    book()
    assert drawing_pages(tmp_path) == {}
    page = "<title>A &amp; B</title><body class='x'><h1>A</h1></body>"
    (tmp_path/"tools").mkdir()
    tool = f"import sys, pathlib; pathlib.Path(sys.argv[1], 'digits.html').write_text({page!r})"
    (tmp_path/"tools/page.py").write_text(tool)
    live = drawing_pages(tmp_path)
    assert live == {"live/digits.html": in_site(page)}
    assert "<body class='x'>\n<p class=\"home\"><a href=\"../index.html\">" in in_site(page)
    assert in_site(page).endswith('<script src="../assets/live.js"></script>\n</body>')
    nav = {"Live": ["live/index.md", {"A & B": "live/digits.html"}]}
    assert navigation(book.site, live)[1] == nav
    assert write(tmp_path, tmp_path/"out", live) == 5
    assert (tmp_path/"out/pages/live/digits.html").read_text() == in_site(page)
    assert "[A & B](digits.html)" in (tmp_path/"out/pages/live/index.md").read_text()
    assert (tmp_path/"out/pages/assets/katex/katex.min.js").exists() and (tmp_path/"out/mkdocs.yml").exists()


def test_what_is_dead_is_found(tmp_path):
    (tmp_path/"a").mkdir(); (tmp_path/"x.png").touch()
    (tmp_path/"index.html").write_text('<h1 id="top">A</h1><script>"<a href=no.html>"</script>'
                                       '<a href="a/b.html#c&amp;d">b</a> <a href="#gone">here</a> '
                                       '<a href="https://example.org">out</a> <a href=mailto:a@b>m</a>')
    (tmp_path/"a/b.html").write_text(
        '<p id="c&amp;d"><a href="../index.html#top">ok</a><a href="/a/b.html">ok</a><a href="..">ok</a>'
        '<img src="../x.png"><img src="y.png"><a href="c.html">no</a><a href="../index.html#end">no</a>'
        '<script src="//cdn.example.org/k.js"></script><link rel="stylesheet" href="https://example.org/f.css">')
    assert dead(tmp_path) == [
        "a/b.html loads //cdn.example.org/k.js from another host",
        "a/b.html loads https://example.org/f.css from another host",
        "a/b.html links to c.html, which is not there",
        "a/b.html links to ../index.html#end, but that page has no such anchor",
        "a/b.html links to y.png, which is not there",
        "index.html links to #gone, but that page has no such anchor"]


def test_every_notebook_has_a_page_with_all_that_it_exports_and_shows():
    assert len(PAGES) == len(chapters(ROOT/"nbs")) + 1 + 4
    for name, (page, anchor) in SITE.names.items():
        assert f"{{#{anchor} ." in PAGES[page] or f'id="{anchor}"' in PAGES[page], name
    for key, nb in SITE.books.items():
        shown = [o for c in nb["cells"] if "#| hide" not in "".join(c["source"]) for o in c.get("outputs", [])
                 if {"image/png", "image/gif"} & set(o.get("data", ()))]
        alts = re.findall(r'<p class="picture"><img [^>]*alt="([^"]*)">', PAGES[key])
        assert len(alts) == len(shown), key
        assert all(len(alt) > 10 and "<Figure" not in alt for alt in alts), (key, alts)
