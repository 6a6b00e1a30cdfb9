"""Build the site from the notebooks: `make docs`. Markdown and pictures go to _docs/, the site to _site/.

A link that leads nowhere, or a page that would load something from another host, is an error: each is named,
and the exit status is 1. Pages where a model draws in the browser are finished HTML files in the folder LIVE;
where there are any, they become a part of the navigation."""
import argparse
import functools
import html
import http.server
import json
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

from pages import ROOT
from site_check import dead
from site_convert import TEXTS, Site

LIVE = "docs"


def live_pages(root):
    "The finished pages, as {path in the site: text}."
    return {f"live/{p.name}": p.read_text(encoding="utf-8") for p in sorted((root/LIVE).glob("*.html"))}


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


def write(root, out):
    "Write the Markdown of all pages, their files and the configuration into `out`; returns how many pages."
    site, live, tools = Site(root), live_pages(root), Path(__file__).parent/"site"
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
    n = write(root, root/"_docs")
    read = time.perf_counter()
    run = subprocess.run([sys.executable, "-m", "zensical", "build", "-f", "mkdocs.yml"],
                         cwd=root/"_docs", capture_output=True, text=True)
    if run.returncode: sys.exit(run.stdout + run.stderr)
    shutil.rmtree(root/"_site", ignore_errors=True)
    shutil.move(root/"_docs/site", root/"_site")
    if problems := dead(root/"_site"): sys.exit("\n".join(["The site has dead links:", *problems]))
    print(f"_site/: {n} pages in {time.perf_counter() - start:.0f} s, "
          f"{read - start:.1f} s of them for reading the notebooks")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=int, metavar="PORT", help="then serve it on this port")
    arguments = parser.parse_args()
    build(ROOT)
    if arguments.serve is not None:
        handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=ROOT/"_site")
        server = http.server.ThreadingHTTPServer(("127.0.0.1", arguments.serve), handler)
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)")
        server.serve_forever()
