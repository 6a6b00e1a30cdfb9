"""What the chapters define, for the site: where each name stands, and the table of its parameters.

Everything is read from the source of exported cells by `ast`; nothing is imported and nothing is run."""
import ast
import html
import io
import os
import re
import tokenize
from typing import NamedTuple

from stubs import patched

# what prose calls an object of a class: `model.sample` is the method of a model
INSTANCES = {"model": "GaussianDiffusion", "data": "TensorData", "net": "UNet",
             "step": "Step", "state": "TrainState"}


class Row(NamedTuple):
    "A line of a table of parameters."
    name: str
    type: str = ""
    default: str = ""
    comment: str = ""


def source_of(cell):
    "The source of a cell without its `#|` lines, and what these say as {flag: value}."
    source = "".join(cell["source"]).strip("\n")
    if cell["cell_type"] != "code": return source, {}
    flags = dict(re.findall(r"^#\|\s*([\w-]+):?[ \t]*(.*)$", source, re.M))
    return re.sub(r"^#\|.*\n?", "", source, flags=re.M).strip("\n"), flags


def full_names(node):
    "What a statement defines: a function, a class, a constant, or a patched method as `Class.method`."
    if isinstance(node, ast.FunctionDef):
        return [f"{kind}.{node.name}" for kind in patched(node)] or [node.name]
    if isinstance(node, ast.ClassDef): return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [t.id for t in targets if isinstance(t, ast.Name)]


def methods(node):
    "The methods inside a class, as `Class.method`."
    if not isinstance(node, ast.ClassDef): return []
    return [f"{node.name}.{n.name}" for n in node.body if isinstance(n, ast.FunctionDef)]


def public(full): return not any(part.startswith("_") for part in full.split("."))


def other_names(node):
    "The keys of a table that are not the names of their values, as `karras` in `{'karras': karras_sigmas}`."
    table = node.value if isinstance(node, ast.Assign | ast.AnnAssign) else None
    if not isinstance(table, ast.Dict): return []
    return [k.value for k, v in zip(table.keys, table.values)
            if isinstance(k, ast.Constant) and not (isinstance(v, ast.Name) and v.id == k.value)]


def defined(books, others=()):
    """Where names are defined, as {name: (page, anchor)}. `books` is {page: notebook}. Names that stand for
    something else as well (`others`, such as weights, and the keys of tables) are entered with `()`."""
    found, bases, others = {}, {}, set(others)
    for page, nb in books.items():
        for cell in nb["cells"]:
            body, flags = source_of(cell)
            if "export" not in flags: continue
            for node in ast.parse(body).body:
                if isinstance(node, ast.ClassDef): bases[node.name] = [ast.unparse(b) for b in node.bases]
                others.update(other_names(node))
                for name in filter(public, full_names(node)): found.setdefault(name, (page, name))
                for name in filter(public, methods(node)): found.setdefault(name, (page, node.name))

    def inherited(kind, seen=()):                # {method: place} of a class and of what it is made from
        above = [inherited(b, (*seen, kind)) for b in bases.get(kind, ()) if b in bases and b not in seen]
        own = {n.split(".")[1]: place for n, place in found.items() if n.startswith(f"{kind}.")}
        return {k: v for found_there in reversed(above) for k, v in found_there.items()} | own

    for kind in bases:
        found |= {f"{kind}.{k}": v for k, v in inherited(kind).items() if f"{kind}.{k}" not in found}
    for name, kind in INSTANCES.items(): found |= {f"{name}.{k}": v for k, v in inherited(kind).items()}
    for name in others & found.keys(): found[f"{name}()"] = found.pop(name)
    return found


def place(code, page, names):
    """Where the name in a piece of code is defined, or `None`: of `f`, `f(x)`, `a.f`, `ddpm_edu.a.b.f`.
    A name that stands for something else as well is meant where it has parentheses, and on its own page."""
    m = re.fullmatch(r"(?:ddpm_edu\.(?:[a-z_]+\.)*)?([A-Za-z_][\w.]*)(\(.*\))?", code)
    if not m: return None
    shared = names.get(f"{m[1]}()")
    return names.get(m[1]) or (shared if shared and (m[2] or shared[0] == page) else None)


def href(page, to, anchor=""):
    "The link from one page to another, as it stands in HTML."
    path = os.path.relpath(f"{to}.html", os.path.dirname(page) or ".").replace(os.sep, "/")
    return ("" if to == page else path) + (f"#{anchor}" if anchor else "")


def code_html(code, page, names):
    "A piece of code as HTML, with a link to where its name is defined."
    shown, there = f"<code>{html.escape(code)}</code>", place(code, page, names)
    return f'<a class="name" href="{href(page, *there)}">{shown}</a>' if there else shown


def text_html(text, page, names):
    "A comment or a docstring as HTML: plain text, code in backticks."
    parts = re.split(r"`([^`]+)`", text)
    parts[::2] = map(html.escape, parts[::2])
    parts[1::2] = [code_html(p, page, names) for p in parts[1::2]]
    return "".join(parts)


def comments(source):
    "The comments of a source as {line: text}."
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}


def parameters(node, source):
    """The rows of a function's or a class's table: parameters, what is returned, fields. A comment belongs to
    what ends last on its line."""
    function, said = node, comments(source)
    if isinstance(node, ast.ClassDef):
        function = next((f for f in node.body if getattr(f, "name", "") == "__init__"), None)
        if function is None:
            fields = [n for n in node.body if isinstance(n, ast.AnnAssign) and public(ast.unparse(n.target))]
            return [Row(ast.unparse(n.target), *_texts(n.annotation, n.value), said.get(n.end_lineno, ""))
                    for n in fields]
    a, rows, ends = function.args, [], []
    positional = [*a.posonlyargs, *a.args]
    defaults = dict(zip([x.arg for x in reversed(positional)], reversed(a.defaults)))
    defaults |= {x.arg: v for x, v in zip(a.kwonlyargs, a.kw_defaults) if v is not None}
    stars = {id(a.vararg): "*", id(a.kwarg): "**"}
    for x in [*positional, *filter(None, [a.vararg]), *a.kwonlyargs, *filter(None, [a.kwarg])]:
        default = defaults.get(x.arg)
        rows.append(Row(stars.get(id(x), "") + x.arg, *_texts(x.annotation, default)))
        ends.append((default or x).end_lineno)
    if isinstance(node, ast.FunctionDef) and function.returns is not None:
        rows.append(Row("returns", *_texts(function.returns))); ends.append(function.returns.end_lineno)
    last = {line: i for i, line in enumerate(ends)}     # the last on each line
    rows = [r._replace(comment=said.get(line, "")) if last[line] == i else r
            for i, (r, line) in enumerate(zip(rows, ends))]
    return [r for r in rows if r.name not in ("self", "cls") and (r.name, r.type) != ("returns", "None")]


def _texts(*nodes):
    "Expressions as they are written; nothing for `None`."
    return [ast.unparse(n) if n is not None else "" for n in nodes]


def signature(name, rows):
    "A call with all parameters and their defaults."
    said = [f"{r.name}={r.default}" if r.default else r.name for r in rows if r.name != "returns"]
    return f"{name}({', '.join(said)})"


def table_html(rows, page, names):
    "The table of parameters as HTML; nothing where it would say nothing."
    if not any(r.type or r.comment for r in rows): return ""
    out = []
    for r in rows:
        name = "returns" if r.name == "returns" else f"<code>{html.escape(r.name)}</code>"
        default = f' <span class="default">= <code>{html.escape(r.default)}</code></span>'
        cells = [name + (default if r.default else ""), code_html(r.type, page, names) if r.type else "",
                 text_html(r.comment, page, names)]
        out.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    return "\n".join(['<table class="parameters"><tbody>', *out, "</tbody></table>"])


def card(node, source, page, names, full):
    "The heading of a definition, its signature, its docstring and its table, as Markdown."
    rows = parameters(node, source)
    kind = "class" if isinstance(node, ast.ClassDef) else "method" if "." in full else "function"
    call = "" if kind == "class" and not rows else signature(full.split(".")[-1], rows)  # a base may know it
    label = f' data-toc-label="{full.split(".")[1]}"' if "." in full else ""  # there is little room beside
    doc = " ".join((ast.get_docstring(node) or "").split())
    return "\n\n".join(filter(None, [
        f"### `{full}` {{#{full} .api .{kind}{label}}}",
        f'<p class="signature"><code>{html.escape(call)}</code></p>' if call else "",
        f'<p class="doc">{text_html(doc, page, names)}</p>' if doc else "",
        table_html(rows, page, names)]))
