"""Find what is dead in a built site: links to pages, files and anchors that are not there, and what a page
would fetch from another host."""
import re
import sys
from pathlib import Path
from urllib.parse import unquote

TAG = re.compile(r"<(\w+)\b([^>]*)>")
ATTRIBUTE = re.compile(r"""\b(id|name|href|src|srcset|poster|data)=(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""")
FOREIGN = re.compile(r"(?:https?:)?//")


def read(page):
    "The anchors of a page, its links, and what it loads."
    text = re.sub(r"(<script\b[^>]*>).*?</script>|<!--.*?-->|(<style\b[^>]*>).*?</style>", r"\1\2",
                  page.read_text(encoding="utf-8"), flags=re.S)
    anchors, links, loads = {""}, [], []
    for tag, rest in TAG.findall(text):
        for name, *values in ATTRIBUTE.findall(rest):
            value = next(filter(None, values), "").replace("&amp;", "&")
            if name == "id" or (name == "name" and tag == "a"): anchors.add(value)
            elif name == "href" and tag == "a": links.append(value)
            elif name in ("href", "src", "srcset", "poster"):
                if not (tag == "link" and "canonical" in rest): loads.append(value)
    return anchors, links, loads


def dead(site):
    "A sentence for everything that is dead in the folder `site`."
    site = Path(site).resolve()
    pages = {p: read(p) for p in sorted(site.rglob("*.html"))}
    found = []
    for page, (_, links, loads) in pages.items():
        here = page.relative_to(site).as_posix()
        found += [f"{here} loads {x} from another host" for x in loads if FOREIGN.match(x)]
        for link in [*links, *loads]:
            if re.match(r"[a-z][a-z+.-]*:|//", link): continue
            path, _, anchor = unquote(link).partition("#")
            path = path.partition("?")[0]
            there = page if not path else site/path[1:] if path[0] == "/" else (page.parent/path)
            there = there.resolve()
            if there.is_dir(): there = there/"index.html"
            if not there.is_file() or not there.is_relative_to(site):
                found.append(f"{here} links to {link}, which is not there")
            elif anchor and there in pages and anchor not in pages[there][0]:
                found.append(f"{here} links to {link}, but that page has no such anchor")
    return list(dict.fromkeys(found))


if __name__ == "__main__":
    if problems := dead(sys.argv[1]): sys.exit("\n".join(problems))
