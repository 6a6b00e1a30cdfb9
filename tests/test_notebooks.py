"""What every notebook holds to: a module says what is in it, links lead somewhere, cells of imports hold
nothing else, lines fit, and nbdev's documentation step runs over all of them."""
import ast
import json
import os
import re
import runpy
import shutil
import subprocess
import sys

import pytest
import times
from doors import exported
from fastcore import test as fastcore_test
from pages import LINKS, ROOT, WORDS, chapters, folded, minutes, only_imports

NBS = ROOT/"nbs"
BOOKS = {p.relative_to(NBS).as_posix(): json.loads(p.read_text(encoding="utf-8"))
         for p in [NBS/"index.ipynb", *chapters(NBS)]}
MODULES = [p for p in sorted((ROOT/"ddpm_edu").rglob("*.py")) if not p.name.startswith("_")]
PAGES = ["README.md", "INSTALL.md", "CONTRIBUTING.md", "CHANGELOG.md", "benchmarks/RECIPES.md"]


def cells(nb, kind):
    "The sources of the cells of a kind, with their metadata."
    return [("".join(c["source"]), c["metadata"]) for c in nb["cells"] if c["cell_type"] == kind]


def text_of(nb):
    "All prose of a notebook."
    return "\n\n".join(source for source, _ in cells(nb, "markdown"))


def plain(text):
    "Markdown without what is code."
    return re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)


def dead_links(text, folder, anchors=lambda path: ()):
    "The links of a Markdown text that lead nowhere."
    bad = []
    for target in re.findall(r'(?:\]\(|src="|href=")([^)"\s]+)', plain(text)):
        if re.match(r"[a-z+]+:", target): continue
        path, _, anchor = target.partition("#")
        place = folder/path if path else None
        if (place and not place.exists()) or (anchor and anchor not in anchors(place)): bad.append(target)
    return bad


def anchors(path):
    "What headings of a page can be linked to."
    if path is None or path.suffix not in (".md", ".ipynb"): return ()
    text = path.read_text(encoding="utf-8")
    heads = re.findall(r"^#+ (.+)", text if path.suffix == ".md" else text_of(json.loads(text)), re.M)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in heads}


@pytest.mark.parametrize("module", MODULES, ids=lambda p: p.relative_to(ROOT/"ddpm_edu").as_posix())
def test_a_module_says_what_is_in_it(module):
    doc, names = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "", exported(module)
    said = {n for n in names if re.search(rf"`{n}\b", doc)}
    assert len(said) >= min(2, len(names)), doc
    assert len(doc.splitlines()) <= 3            # nbdev adds a list of modules to the front door otherwise
    assert all(len(line) <= 110 for line in doc.splitlines())


@pytest.mark.parametrize("name", BOOKS)
def test_links_lead_somewhere(name):
    assert dead_links(text_of(BOOKS[name]), (NBS/name).parent, anchors) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_of_pages_lead_somewhere(page):
    assert dead_links((ROOT/page).read_text(encoding="utf-8"), (ROOT/page).parent, anchors) == []


def test_a_dead_link_is_found(tmp_path):
    (tmp_path/"a.md").write_text("# One two\n")
    dead = "[x](b.md), [x](a.md#three), `[no](link)`, [x](https://example.org), [x](a.md#one-two)"
    assert dead_links(dead, tmp_path, anchors) == ["b.md", "a.md#three"]


@pytest.mark.parametrize("name", BOOKS)
def test_chapters_are_cited_by_name(name):
    "Numbers order the reading of a floor and change; a link does not."
    text = re.sub(r"\]\([^)]*\)", "]", plain(text_of(BOOKS[name])))
    code = "\n".join(source for source, _ in cells(BOOKS[name], "code"))
    assert re.findall(r"\b(?:[Cc]hapters?|[Tt]utorials?|[Nn]otebooks?) \d+", text + code) == []


def test_each_chapter_links_to_its_neighbours():
    names = [n for n in BOOKS if n != "index.ipynb"]
    for before, name, after in zip([None, *names], names, [*names[1:], None]):
        cell = next("".join(c["source"]) for c in BOOKS[name]["cells"] if c.get("id") == LINKS)
        to = [os.path.normpath(os.path.join(os.path.dirname(name), target))
              for target in re.findall(r"\]\(([^)]+)\)", cell)]
        words = None if name == WORDS else WORDS
        assert to == [t for t in (before, "index.ipynb", words, after) if t], name


@pytest.mark.parametrize("name", [n for n in BOOKS if n != "index.ipynb"])
def test_the_top_says_how_long_reading_takes(name):
    told = re.search(r"^\*(?:You|In) .* About (\d+) minutes? of reading\.\*$", text_of(BOOKS[name]), re.M)
    assert told and int(told[1]) == minutes(BOOKS[name])


def test_seconds_in_words():
    words = {1.4: "2 seconds", 8.1: "10 seconds", 28.: "30 seconds", 55.: "a minute",
             80.: "a minute and a half", 121.: "2 minutes", 150.: "3 minutes"}
    assert {s: times.told(s) for s in words} == words
    assert all(s <= 2 or .8 * s < times.read(times.told(s)) < 1.4 * s for s in range(1, 500))


RUNNING = times.table()


@pytest.mark.parametrize("name", [n for n in BOOKS if n not in ("index.ipynb", WORDS)])
def test_the_top_says_how_long_running_takes(name):
    "As measured by tools/times.py, where it was; by a factor of two, since machines and chapters change."
    told = re.search(times.LINE, text_of(BOOKS[name]))
    assert told or "nothing here is computed" in text_of(BOOKS[name])
    if told and name in RUNNING:
        assert .5 * RUNNING[name] - 2 < times.read(told[2]) < 2 * RUNNING[name] + 2


def test_the_cover_adds_the_minutes_of_its_paths():
    paths = re.findall(r"^- \*\*.*?\*\* \((\d+) minutes of reading[^)]*\).*?: (.*)$",
                       text_of(BOOKS["index.ipynb"]), re.M)
    assert len(paths) == 5
    for told, path in paths:
        assert int(told) == sum(minutes(BOOKS[n]) for n in re.findall(r"\]\(([^)]+)\)", path)), path


FLAGGED = [(n, s) for n, nb in BOOKS.items() for s, _ in cells(nb, "code") if s.startswith("#| cuda\n")]


@pytest.mark.parametrize("name, source", FLAGGED, ids=[n for n, _ in FLAGGED])
def test_a_cell_for_a_gpu_is_a_check_that_also_runs_here(name, source, monkeypatch):
    "The cells flagged `cuda` call what `make test-cuda` calls; here the device is the CPU."
    assert "tests/cuda/checks.py" in source and '"cuda"' in source
    monkeypatch.chdir((NBS/name).parent)
    exec(source.replace('"cuda"', '"cpu"'), {"runpy": runpy, "test_eq": fastcore_test.test_eq})


GREEK = (r"\\(?:(?:bar|hat|tilde)(?:\\\w+| \w|\{\w\})"
         r"|(?:alpha|beta|gamma|delta|varepsilon|eta|theta|lambda|rho|sigma|tau|varphi)\b)")


def test_the_glossary_knows_symbols_and_abbreviations():
    "Greek letters of formulas and abbreviations of methods that more than one chapter uses."
    glossary, seen = text_of(BOOKS[WORDS]), {}
    everyday = {"CPU", "GPU", "CUDA", "NaN", "PNG", "GIF", "JPEG", "JSON", "MB", "GB", "README", "CIFAR",
                "GELU", "ReLU", "SiLU", "NVIDIA", "API", "HTML", "EU", "RGB", "FOLDER"}
    for name in (n for n in BOOKS if n != WORDS):
        text = re.sub(r"\]\([^)]*\)", "]", plain(text_of(BOOKS[name])))
        short = set(re.findall(r"\b[A-Z][A-Za-z]?[A-Z][A-Z0-9]*\b", text)) - everyday
        for word in set(re.findall(GREEK, text)) | short:
            seen.setdefault(word, []).append(name)
    assert {w: names for w, names in seen.items() if len(names) > 1 and w not in glossary} == {}
    rows = re.findall(r"^\| (?!---|symbol|word|question)([^|]+)\|", glossary, re.M)
    assert len(rows) == len(set(rows)) > 60


@pytest.mark.parametrize("name", BOOKS)
def test_every_exercise_has_an_answer(name):
    _, turn, asked = text_of(BOOKS[name]).partition("## Your turn")
    numbers = set(re.findall(r"^(\d+)\. ", asked.split("\n## ")[0], re.M))
    code = "\n".join(source for source, _ in cells(BOOKS[name], "code"))
    assert bool(turn) == bool(numbers) and numbers == set(re.findall(r"^# Answer to (\d+)", code, re.M))


SHOW = {"contact_sheet", "plot_curves", "scatter", "show_images", "show_timers", "show_unet", "strip"}


def draws(source):
    "Whether a code cell leaves a picture: it calls what draws, not within a function, and closes no figure."
    if re.search(r"^#\|\s*(export|hide|cuda|slow|eval:\s*false)|plt\.close", source, re.M): return False
    body = ast.parse(re.sub(r"^[%!].*", "", source, flags=re.M)).body
    if body and ast.unparse(body[-1]).startswith("animate("): return True
    while body:
        node = body.pop()
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Lambda): continue
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in SHOW or name in ("plt.subplots", "plt.figure", "plt.imshow"): return True
        body += ast.iter_child_nodes(node)
    return False


def test_what_draws():
    pictures = ["show_images(x)", "ax = plt.subplots()[1]", "if a: strip(x)", "a = 1\nanimate(x)"]
    assert all(map(draws, pictures))
    assert not any(map(draws, ["#| hide\nshow_images(x)", "def f(): strip(x)", "strip(x); plt.close()",
                               "test_fail(lambda: scatter(x))", "film = animate(f)", "' a'.strip()"]))


@pytest.mark.parametrize("name", BOOKS)
def test_what_draws_has_a_stored_picture(name):
    def shown(cell): return {k for out in cell["outputs"] for k in out.get("data", {})}
    bare = ["".join(c["source"])[:200] for c in BOOKS[name]["cells"]
            if c["cell_type"] == "code" and draws("".join(c["source"]))
            and not shown(c) & {"image/png", "image/gif"}]
    assert bare == []


@pytest.mark.parametrize("name", BOOKS)
def test_lines_of_code_fit(name):
    long = [line for source, _ in cells(BOOKS[name], "code") for line in source.splitlines()
            if len(line) > 110 and not re.match(r"#\||[%!]", line)]
    assert long == []


@pytest.mark.parametrize("name", BOOKS)
def test_cells_of_imports_hold_imports_only(name):
    "nbdev's documentation step runs each cell that imports something, and no other that is not exported."
    for source, _ in cells(BOOKS[name], "code"):
        if re.search(r"^#\|\s*(export|eval:\s*false)|^%|nbdev_export\(\)", source, re.M): continue
        tree = ast.parse(re.sub(r"^[%!].*", "", source, flags=re.M))
        imports = any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.walk(tree))
        assert not imports or only_imports(source), source


@pytest.mark.parametrize("name", BOOKS)
def test_what_a_reader_gains_nothing_from_is_folded(name):
    for source, metadata in cells(BOOKS[name], "code"):
        assert metadata.get("jupyter", {}) == folded(source), source
        if re.match(r"# Answer", re.sub(r"^#\|.*\n", "", source, flags=re.M)): assert folded(source), source


def test_what_is_folded():
    assert folded("#| hide\nx = 1") == folded("#| export\nimport os") == {"source_hidden": True}
    assert folded("#| code-fold: true\nx = 1") == {"source_hidden": True, "outputs_hidden": True}
    assert not folded("#| export\nx = 1") and not folded("import os") and not folded("%%bash\nls")


def test_the_documentation_step_runs_over_all_notebooks(tmp_path):
    for part in ("nbs", "ddpm_edu"):
        shutil.copytree(ROOT/part, tmp_path/part, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for part in ("pyproject.toml", "settings.ini", "README.md"): shutil.copyfile(ROOT/part, tmp_path/part)
    env = os.environ | {"PYTHONPATH": str(tmp_path), "IN_TEST": "1", "XDG_CONFIG_HOME": str(tmp_path/".none")}
    run = subprocess.run([sys.executable, "-c", "from nbdev.serve import proc_nbs; proc_nbs(n_workers=2)"],
                         cwd=tmp_path, env=env, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    made = {p.relative_to(tmp_path/"_proc").as_posix() for p in (tmp_path/"_proc").rglob("*.ipynb")}
    assert made == set(BOOKS) and "Found cells" not in run.stderr
