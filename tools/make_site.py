"""Build the site from the notebooks: `make docs`. Markdown and pictures go to _docs/, the site to _site/.

A link that leads nowhere, or a page that would load something from another host, is an error: each is named,
and the exit status is 1. Pages where a model draws in the browser come finished from tools/page.py and have
their own part of the navigation."""
import argparse
import contextlib
import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pages import ROOT
from site_check import dead
from site_convert import TEXTS, Site

HOME = '<p class="home"><a href="../index.html">ddpm_edu</a></p>'
LIKE_THE_SITE = '<script src="../assets/live.js"></script>'


def drawing_pages(root):
    "The pages where a model draws, as {path in the site: text}; none without a tool that writes them."
    if not (tool := root/"tools/page.py").exists(): return {}
    with tempfile.TemporaryDirectory() as folder:
        finished([sys.executable, tool, folder])
        pages = sorted(Path(folder).glob("*.html"))
        return {f"live/{p.name}": in_site(p.read_text(encoding="utf-8")) for p in pages}


def in_site(page):
    "A page that stands by itself, with a way to the site and the site's choice of dark or light."
    page = re.sub(r"<body[^>]*>", rf"\g<0>\n{HOME}", page, count=1)
    return page.replace("</body>", f"{LIKE_THE_SITE}\n</body>")


def finished(command, **options):
    "Run a command; end with what it said if it fails."
    run = subprocess.run(command, capture_output=True, text=True, **options)
    if run.returncode: sys.exit(run.stdout + run.stderr)


def live_title(text): return html.unescape(re.search(r"<title>([^<]*)</title>", text)[1])


def live_index(live):
    "The page that lists the finished pages, as Markdown."
    links = [f"- [{live_title(text)}]({name.removeprefix('live/')})" for name, text in live.items()]
    return "\n".join(["# Live", "", "Here the models that ship draw in your browser. Nothing is installed, "
                      "and nothing leaves this page.", "", *links, ""])


def navigation(site, live):
    "All pages in the order of reading, by floor, as MkDocs wants to have it."
    parts = {"Start": ["index"]}
    for key in site.books:
        if "/" in key: parts.setdefault(re.sub(r"^\d+_", "", key.split("/")[0]).capitalize(), []).append(key)
    nav = [{name: [{site.title(k): f"{k}.md"} for k in keys]} for name, keys in parts.items()]
    nav[0] = {"Start": "index.md"}
    if live:
        nav.insert(1, {"Live": ["live/index.md", *({live_title(text): name} for name, text in live.items())]})
    return [*nav, {"Project": [{site.title(k): f"{k}.md"} for k in TEXTS.values() if k in site.sources]}]


def write(root, out, live):
    "Write the Markdown of all pages, their files and the configuration into `out`; returns how many pages."
    site, tools = Site(root), Path(__file__).parent/"site"
    texts = {f"{key}.md": site.page(key) for key in site.sources} | live
    if live: texts["live/index.md"] = live_index(live)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(tools, out/"pages/assets", ignore=shutil.ignore_patterns("mkdocs.yml"))
    for name, content in (texts | site.files).items():
        path = out/"pages"/name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Path): shutil.copyfile(content, path)
        else: path.write_bytes(content.encode() if isinstance(content, str) else content)
    nav = navigation(site, live)
    (out/"mkdocs.yml").write_text((tools/"mkdocs.yml").read_text(encoding="utf-8") + "nav: "
                                  + json.dumps(nav, ensure_ascii=False) + "\n", encoding="utf-8")
    return len(texts)


def build(root):
    "Everything; exits with a sentence for each problem."
    start = time.perf_counter()
    n = write(root, root/"_docs", drawing_pages(root))
    finished([sys.executable, "-m", "zensical", "build", "-f", "mkdocs.yml"], cwd=root/"_docs")
    shutil.rmtree(root/"_site", ignore_errors=True)
    shutil.move(root/"_docs/site", root/"_site")
    if problems := dead(root/"_site"): sys.exit("\n".join(["The site has dead links:", *problems]))
    print(f"_site/: {n} pages in {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT", help="then serve it on this port")
    arguments = parser.parse_args()
    build(ROOT)
    if arguments.serve is not None:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=ROOT/"_site")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.serve), handler)
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
        with contextlib.suppress(KeyboardInterrupt): server.serve_forever()
