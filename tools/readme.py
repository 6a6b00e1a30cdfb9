"""Render README.md from nbs/index.ipynb: `make readme`. The same text as the notebook, with links that work
from the top folder.

Cells marked `#| hide` or `<!-- cover only -->` are left out, and so are the other `#|` lines. What a cell
printed follows it; what a notebook echoes, the value of the last line, does not, since a script prints none
of it. Pictures belong into images/."""
import json
import posixpath
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NOTE = "<!-- Rendered from nbs/index.ipynb by `make readme`: edit that. -->"


def from_the_top(text, folder):
    "Markdown with relative links meant for `folder`, with links meant for its parent; code is left alone."
    def link(m):
        target = m[2] if re.match(r"[a-z+]+:|#|/", m[2]) else posixpath.normpath(posixpath.join(folder, m[2]))
        return m[1] + target + m[3]

    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", text, flags=re.M | re.S)  # every second part is code
    parts[::2] = [re.sub(r'(\]\(|src="|href=")([^)"\s]+)([)"])', link, part) for part in parts[::2]]
    return "".join(parts)


def printed(output):
    "The text of one output of a cell. Raises `ValueError` for one that only has pictures."
    text = output.get("text") or ""
    if any(kind.startswith("image/") for kind in output.get("data", {})):
        raise ValueError("nbs/index.ipynb has a picture among its outputs: "
                         "save it to images/ and link to it from a markdown cell")
    text = "".join(text).rstrip("\n")
    return "" if re.match(r"\s*\d+%\|", text) else text  # what a progress bar leaves behind says nothing


def render(notebook):
    "The text of README.md."
    blocks = [NOTE]
    ran = ""                                     # the code of cells in a row that printed nothing
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if re.search(r"^#\|\s*hide\b|^<!-- cover only -->", source, re.M): continue
        source = re.sub(r"^#\|.*\n?", "", source, flags=re.M).strip()
        if cell["cell_type"] == "markdown":
            blocks.append(from_the_top(source, notebook.parent.name)); ran = ""
        elif cell["cell_type"] == "code" and source:
            if ran: blocks.pop()                 # they read as one
            ran = f"{ran}\n\n{source}" if ran else source
            blocks.append(f"```python\n{ran}\n```")
            if shown := "\n".join(filter(None, map(printed, cell["outputs"]))):
                blocks.append(f"```text\n{shown}\n```"); ran = ""
    return "\n\n".join(blocks) + "\n"


if __name__ == "__main__":
    (ROOT/"README.md").write_text(render(ROOT/"nbs/index.ipynb"), encoding="utf-8")
    print("README.md is rendered from nbs/index.ipynb.")
