"""Turn notebooks into the pages of the site: Markdown, and the pictures that the notebooks hold.

Nothing is run. `Site` knows all pages and all names; its `page` gives the text of one and notes the files
that it needs. Left out are `#| hide` cells and nbdev's last heading; answers and imports are folded."""
import ast
import base64
import html
import json
import os
import re
import struct
from pathlib import Path

from pages import LINKS, chapters, only_imports, title
from site_names import card, code_html, defined, full_names, public, source_of, text_html

# pages that are no notebooks
TEXTS = {"INSTALL.md": "install", "CONTRIBUTING.md": "contributing", "CHANGELOG.md": "changelog",
         "benchmarks/RECIPES.md": "recipes"}
# what browsers show as it is; the rest is given the ending of a text
SHOWN = {".png", ".gif", ".jpg", ".svg", ".csv", ".txt", ".html", ".json", ".ipynb"}
PANEL = ('<p class="panel">Here JupyterLab shows a panel with sliders. '
         "A page has its still pictures, made by the same function.</p>")
PARTS = re.compile(r"(?P<fence>^```.*?^```)|^(?P<hashes>#+) (?P<heading>[^\n]+)"
                   r"|\[(?P<label>(?:`[^`]*`|[^\[\]`])*)\]\((?P<link>[^)\s]+)\)"
                   r"|(?<!`)`(?P<code>[^`\n]+)`(?!`)", re.M | re.S)


def slug(heading):
    "What a heading is called in a link, as on GitHub."
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


def plain(markdown):
    "Markdown without its marks, as a reader would say it."
    text = re.sub(r"^```.*?^```|\$\$.*?\$\$|^[|#].*?$|<!--.*?-->", "", markdown, flags=re.M | re.S)
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\\(?:text|operatorname|mathrm|mathbb)\{([^}]*)\}", r"\1", text)
    text = re.sub(r"[`$\\]|\*\*|(?<!\w)[*_]|[*_](?!\w)", "", text)
    return re.sub(r"^\s*(?:[-*>]|\d+\.)\s+", "", text, flags=re.M)


def sentences(markdown, last=True):
    "The sentences of the last paragraph (or of the first)."
    paragraphs = [p for p in re.split(r"\n\s*\n", plain(markdown)) if re.search(r"\w", p)]
    if not paragraphs: return []
    return re.split(r"(?<=[.!?])\s+(?=[A-Z“‘\"(])", " ".join(paragraphs[-1 if last else 0].split()))


def alternative(before, after="", limit=220):
    """What stands for a picture that cannot be seen: the last sentences before it, as many as fit; where
    there are none, the first one after."""
    found = sentences(before) or sentences(after, last=False)[:1]
    while len(found) > 1 and len(" ".join(found)) > limit: found = found[1:]
    return " ".join(found)


def size(picture):
    "Width and height of a PNG or a GIF."
    is_png = picture[:4] == b"\x89PNG"
    return struct.unpack(">II", picture[16:24]) if is_png else struct.unpack("<HH", picture[6:10])


def fenced(text, kind):
    "A block of code in Markdown, whatever backticks are in it."
    ticks = "`" * max(3, 1 + max(map(len, re.findall(r"`+", text)), default=0))
    return f"{ticks}{kind}\n{text}\n{ticks}"


def imports_card(body):
    "The imports of a chapter, folded: whoever copies a cell needs them."
    told = "<p><code>IN_TEST</code> is true where the tests run, so that long cells are short there.</p>\n\n"
    said = told if "IN_TEST" in body else ""
    return (f'<details class="answer" markdown="1">\n<summary>Imports</summary>\n\n'
            f'{said}{fenced(body, "python")}\n\n</details>')


def answer(body):
    "Of a folded cell its title, the comment at its beginning, which answers in words, and the code."
    lines = body.splitlines()
    n = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    said = " ".join(line.lstrip("# ") for line in lines[:n])
    m = re.match(r"(Answer to \d+)[:.,]? *(.*)", said)
    if not m: return "Code", "", body
    words = re.sub(r"\A(?:a|[a-z]{2,})(?=[ ,.])", lambda first: first[0].capitalize(), m[2])
    return m[1], words, "\n".join(lines[n:]).strip("\n")


class Site:
    "All pages of the site, where they come from, and the names that the chapters define."
    def __init__(self, root):
        self.root, nbs = Path(root), Path(root)/"nbs"
        self.books, self.sources = {}, {}        # {page: notebook}, {page: path of its source}
        for path in [nbs/"index.ipynb", *chapters(nbs)]:
            key = path.relative_to(nbs).with_suffix("").as_posix()
            self.books[key] = json.loads(path.read_text(encoding="utf-8"))
            self.sources[key] = path.relative_to(self.root).as_posix()
        self.sources |= {key: path for path, key in TEXTS.items() if (self.root/path).exists()}
        self.keys = {path: key for key, path in self.sources.items()} | {"README.md": "index"}
        weights = [p.stem for p in self.root.glob("ddpm_edu/pretrained/*.safetensors")]
        self.names = defined(self.books, others=weights)
        self.files = {}                          # what pages need besides: {path in the site: bytes or path}

    def title(self, key):
        "The first heading of a page."
        if key in self.books: return title(self.books[key])
        return re.search(r"^# (.+)", (self.root/self.sources[key]).read_text(encoding="utf-8"), re.M)[1]

    def up(self, key, path):
        "The way from a page to a path of the site."
        return os.path.relpath(path, os.path.dirname(key) or ".").replace(os.sep, "/")

    def target(self, key, link):
        "A link of a source as a link of its page. What leads nowhere stays as it is: the check finds it."
        if re.match(r"[a-z+]+:|#", link): return link
        path, hash_, anchor = link.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(self.sources[key]), path)).replace(os.sep, "/")
        if path in self.keys: return self.up(key, f"{self.keys[path]}.md") + hash_ + anchor
        if not (self.root/path).is_file(): return link
        name = f"files/{path}" + ("" if Path(path).suffix in SHOWN else ".txt")
        self.files[name] = self.root/path
        return self.up(key, name) + hash_ + anchor

    def prose(self, key, text, taken):
        "Markdown of a source as Markdown of its page. `taken` are the anchors of the page so far."
        def write(m):
            if m["fence"]: return m[0]
            if m["heading"]:
                first = name = slug(m["heading"])
                while name in taken: name = f"{first}-{len(taken)}"
                taken.add(name)
                return f"{m['hashes']} {m['heading']} {{#{name}}}"
            if m["link"]: return f"[{m['label']}]({self.target(key, m['link'])})"
            linked = code_html(m["code"], key, self.names)
            return linked if linked.startswith("<a") else m[0]
        return PARTS.sub(write, text)

    def picture(self, key, data, number, alt):
        "A picture of a notebook as HTML."
        kind = "gif" if "image/gif" in data else "png"
        content = base64.b64decode("".join(data[f"image/{kind}"]))
        name = f"pictures/{key}-{number}.{kind}"
        self.files[name] = content
        width, height = size(content)
        return (f'<p class="picture"><img src="{self.up(key, name)}" width="{width}" height="{height}" '
                f'loading="lazy" alt="{html.escape(alt)}"></p>')

    def outputs(self, key, cell, number, alt):
        "What a cell has printed and drawn."
        shown, k = [], 0
        all_data = [o.get("data", {}) for o in cell["outputs"]]
        pictures = sum("image/png" in data or "image/gif" in data for data in all_data)
        for o, data in zip(cell["outputs"], all_data):
            text = "".join(o.get("text") or data.get("text/plain") or "").rstrip("\n")
            if "image/png" in data or "image/gif" in data:
                which = f" ({k + 1} of {pictures})" if pictures > 1 else ""
                shown.append(self.picture(key, data, f"{number}-{k}" if k else number, alt + which))
                k += 1
            elif "application/vnd.jupyter.widget-view+json" in data:
                if "children=" in text: shown.append(PANEL)     # a progress bar says nothing any more
            elif "text/markdown" in data: shown.append(self.prose(key, "".join(data["text/markdown"]), set()))
            elif text: shown.append(fenced(text, "{.text .output}"))
        return "\n\n".join(shown)

    def code(self, key, cell, number, before, after):
        "A cell of code and what came of it; before exported code the cards of what it defines."
        body, flags = source_of(cell)
        if "default_exp" in flags or not body: return ""
        if {"hide", "export"} & set(flags) and only_imports(body): return imports_card(body)
        if "hide" in flags: return ""
        if flags.get("code-fold") == "true":
            name, words, body = answer(body)
            shown = self.outputs(key, cell, number, alternative(words or before, after))
            words = f"<p>{text_html(words, key, self.names)}</p>" if words else ""
            inside = "\n\n".join(filter(None, [words, body and fenced(body, "python"), shown]))
            head = f'<details class="answer" markdown="1">\n<summary>{name}</summary>'
            return f"{head}\n\n{inside}\n\n</details>"
        shown = self.outputs(key, cell, number, alternative(before, after))
        if "export" in flags:
            named = [(node, n) for node in ast.parse(body).body for n in full_names(node) if public(n)]
            heads = [card(node, body, key, self.names, n) if isinstance(node, ast.FunctionDef | ast.ClassDef)
                     else f'<span id="{n}"></span>' for node, n in named]
            return "\n\n".join(filter(None, [*heads, fenced(body, "python"), shown]))
        visible = flags.get("echo") != "false"
        return "\n\n".join(filter(None, [visible and fenced(body, "python"), shown]))

    def page(self, key):
        "The Markdown of a page."
        taken = {anchor for page, anchor in self.names.values() if page == key}
        if key not in self.books:
            return self.prose(key, (self.root/self.sources[key]).read_text(encoding="utf-8"), taken)
        cells, out, before, imports = self.books[key]["cells"], [], "", ""
        for i, cell in enumerate(cells):
            text, flags = source_of(cell)
            if cell.get("id") == LINKS or re.match(r"#+ .* -$", text): continue
            if cell["cell_type"] == "markdown":
                text = re.sub(r"<!--.*?-->\n?", "", text)
                before += "\n\n" + text
                shown = self.prose(key, text, taken)
                if cell["metadata"].get("nbdev"):        # what the module says of itself
                    shown = f'<div class="module" markdown="1">\n\n{shown}\n\n</div>'
                if text.startswith("# ") and key != "index":
                    shown = re.sub(r"\A.*", rf"\g<0>\n\n{self.origin(key)}", shown)
            else:
                after = next(("".join(c["source"]) for c in cells[i:] if c["cell_type"] == "markdown"), "")
                if not flags and only_imports(text) and not cell["outputs"]: imports = text + "\n\n"; continue
                shown = self.code(key, cell | {"source": imports + "".join(cell["source"])}, i, before, after)
                imports = ""
                if '<p class="picture">' in shown: before = ""
            out.append(shown)
        return "\n\n".join(filter(None, out)) + "\n"

    def origin(self, key):
        "The line below a title: the module that the chapter exports, and the notebook itself."
        path = self.sources[key]
        copy = f"notebooks/{key}.ipynb"
        self.files[copy] = self.root/path
        source = "".join("".join(c["source"]) + "\n" for c in self.books[key]["cells"][:2])
        module = re.search(r"^#\|\s*default_exp:?\s+([\w.]+)", source, re.M)
        parts = [f"<code>ddpm_edu.{module[1]}</code>"] if module else []
        parts.append(f'<a href="{self.up(key, copy)}" download>download this notebook</a>')
        return f'<p class="origin">{" · ".join(parts)}</p>'
