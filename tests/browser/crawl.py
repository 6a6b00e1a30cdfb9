"""The site as a reader's browser shows it: every page, on a phone and on a desk. Run by `make test-browser`.

A plain `pytest` does not collect this file, as its name does not begin with `test_`: it needs a browser,
which ready.py gets, and the extra `docs`. The site is built anew, and served by a free port of this machine.
DDPM_EDU_SHOTS names a folder for screenshots to look at."""
import functools
import http.server
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote

import pytest
from playwright.sync_api import sync_playwright
from ready import chromium

ROOT = Path(__file__).parents[2]
CHAPTER = "2_denoising/40_guidance.html"
LOOK = """() => {
    const all = selector => [...document.querySelectorAll(selector)];
    const article = document.querySelector("article") ?? document.body, raw = [];
    for (const folded of all("article details")) folded.open = true;
    const words = document.createTreeWalker(article, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) {
        const { data, parentElement } = words.currentNode;
        const apart = parentElement.closest("pre, code, .katex, script, style");
        if (!apart && /\\$|\\\\\\(/.test(data)) raw.push(data.trim());
    }
    return {
        ids: all("[id]").map(e => e.id), links: all("a[href]").map(e => e.href), raw,
        formulas: all(".katex").length, wrong: all(".katex-error").map(e => e.title),
        undrawn: all(".arithmatex").filter(e => !e.querySelector(".katex")).length,
        pictures: all("article img").length,
        silent: all("article img").filter(e => !e.alt.trim()).map(e => e.src),
        broken: all("img").filter(e => e.complete && !e.naturalWidth).map(e => e.src),
        over: document.documentElement.scrollWidth - innerWidth,
    }
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass


@pytest.fixture(scope="module")
def site():
    "The address of the site, and the folder that it is served from."
    run = subprocess.run([sys.executable, ROOT/"tools/make_site.py"], capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
    handler = functools.partial(Quiet, directory=ROOT/"_site")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", ROOT/"_site"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, site):
    page = browser.new_page(viewport=dict(width=1280, height=900), color_scheme="light")
    page.set_default_timeout(10_000)
    yield page
    page.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_every_page(browser, site, width, capsys):
    address, folder = site
    page, errors, foreign, seen = browser.new_page(viewport=dict(width=width, height=844)), [], set(), {}
    page.on("console", lambda m: errors.append((page.url, m.text)) if m.type == "error" else None)
    page.on("pageerror", lambda e: errors.append((page.url, str(e))))
    page.on("response", lambda r: errors.append((page.url, r.url, r.status)) if r.status >= 400 else None)
    ours = (address, "data:", "blob:")
    page.on("request", lambda r: None if r.url.startswith(ours) else foreign.add(r.url))
    for file in sorted(folder.rglob("*.html")):
        path = file.relative_to(folder).as_posix()
        page.goto(address + path)
        seen[path] = page.evaluate(LOOK)
    page.close()
    broken = []
    for path, found in seen.items():
        for link in found["links"]:
            if not link.startswith(address): continue
            target, _, anchor = unquote(link.removeprefix(address)).partition("#")
            target = target or "index.html"
            dead = anchor and target in seen and anchor not in seen[target]["ids"]
            if dead or not (folder/target).is_file(): broken.append((path, link))
    for what in ("wrong", "raw", "silent", "broken"):
        assert {path: found[what] for path, found in seen.items() if found[what]} == {}, what
    assert {path: found["over"] for path, found in seen.items() if found["over"] > 0} == {}
    assert sum(found["undrawn"] for found in seen.values()) == 0
    assert errors == [] and foreign == set() and broken == []
    total = lambda what: sum(found[what] for found in seen.values())
    with capsys.disabled():
        links = sum(len(found["links"]) for found in seen.values())
        print(f"\n{width} pixels: {len(seen)} pages, {total('formulas')} formulas, "
              f"{total('pictures')} pictures, {links} links", end="")
    assert len(seen) > 60 and total("formulas") > 500 and total("pictures") > 200


def test_the_search_finds_a_function(page, site):
    page.goto(site[0])
    for _ in range(20):                          # its window cannot be seen from here: try until it answers
        for keys in ("Control+k", "Control+a"): page.keyboard.press(keys)
        page.keyboard.type("drop_labels")
        page.wait_for_timeout(1000)
        page.keyboard.press("Enter")
        page.wait_for_timeout(500)
        if page.url.endswith("#drop_labels"): break
        page.keyboard.press("Escape")
    assert "/2_denoising/40_guidance.html" in page.url and page.locator("#drop_labels").is_visible()


def test_the_dark_is_switched_on_and_stays(page, site):
    scheme = lambda: page.evaluate("document.body.dataset.mdColorScheme")
    page.goto(site[0])
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert scheme() == "default"
    page.get_by_title("Switch to dark").first.click()
    assert scheme() == "slate" and page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.goto(site[0] + CHAPTER)
    assert scheme() == "slate"
    for live in {*site[1].glob("live/*.html")} - {site[1]/"live/index.html"}:  # a model draws there
        page.goto(f"{site[0]}live/{live.name}")
        assert page.locator("#dark").get_attribute("aria-checked") == "true", live.name


def test_an_answer_is_folded_until_asked_for(page, site):
    page.goto(site[0] + CHAPTER)
    answer = page.locator("details.answer").first
    assert not answer.locator("pre").first.is_visible()
    answer.locator("summary").click()
    assert answer.locator("pre").first.is_visible()


def test_a_name_leads_to_its_definition_and_a_notebook_comes_down(page, site):
    page.goto(site[0] + CHAPTER)
    page.locator("p a.name", has_text="drop_labels").first.click()
    assert page.url.endswith("#drop_labels")
    with page.expect_download() as download: page.get_by_role("link", name="download this notebook").click()
    assert download.value.path().read_bytes() == (ROOT/"nbs/2_denoising/40_guidance.ipynb").read_bytes()


def test_a_dead_link_stops_the_build(tmp_path):
    (tmp_path/"nbs").mkdir()
    cells = [dict(cell_type="markdown", source="# T\n\n[a](gone.ipynb), [b](#nowhere)", metadata={})]
    (tmp_path/"nbs/index.ipynb").write_text(json.dumps(dict(cells=cells)))
    script = "import sys, pathlib, make_site; make_site.build(pathlib.Path(sys.argv[1]))"
    run = subprocess.run([sys.executable, "-c", script, tmp_path], cwd=ROOT/"tools", capture_output=True,
                         text=True)
    assert run.returncode == 1, run.stdout
    assert "index.html links to gone.ipynb, which is not there" in run.stderr, run.stderr
    assert "index.html links to #nowhere, but that page has no such anchor" in run.stderr


@pytest.mark.skipif("DDPM_EDU_SHOTS" not in os.environ, reason="DDPM_EDU_SHOTS names no folder")
def test_pictures_to_look_at(browser, site):
    tutorial = "tutorials/08_samplers_compared.html"
    for path in ("index.html", CHAPTER, "3_networks/30_unet.html", tutorial, "install.html"):
        for width, scheme in ((1280, "light"), (1280, "dark"), (390, "light")):
            page = browser.new_page(viewport=dict(width=width, height=900), color_scheme=scheme)
            page.goto(site[0] + path)
            page.evaluate("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
            page.wait_for_load_state("networkidle")
            name = f"{path.replace('/', '_').removesuffix('.html')}_{width}_{scheme}.png"
            page.screenshot(path=Path(os.environ["DDPM_EDU_SHOTS"])/name, full_page=True)
            page.close()
