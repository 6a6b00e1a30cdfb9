"""Write stubs (`.pyi`) for the modules whose classes get methods by `@patch`, so that editors see what Python
sees.

`make export` calls it after nbdev has written the modules. A stub is the module without bodies: patched
methods stand in their class, signatures keep their one-line comments and their docstrings, and attributes
that `__init__` sets are listed with their type, if known."""
import ast
import textwrap
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
HEAD = "# Written by `make export` from the module of the same name: edit the notebook.\n"


def is_patch(decorator:ast.expr)->bool:
    "Whether a decorator is `patch`, with or without arguments."
    return ast.unparse(decorator).split("(")[0] in ("patch", "patch_to")


def patched(node:ast.stmt)->list[str]:
    "The names of the classes that a function is patched into; none for other statements."
    if not isinstance(node, ast.FunctionDef) or not any(map(is_patch, node.decorator_list)): return []
    kinds = node.args.args[0].annotation
    return [ast.unparse(k) for k in ([kinds.left, kinds.right] if isinstance(kinds, ast.BinOp) else [kinds])]


def documented(node:ast.FunctionDef|ast.ClassDef)->str:
    "The docstring as it is written in a stub, or nothing."
    doc = ast.get_docstring(node)
    if doc is None: return ""
    quotes = '"""' if '"' in doc or "\n" in doc else '"'
    return textwrap.indent(f"{quotes}{doc}{quotes}\n", "    ")


def signature(node:ast.FunctionDef, lines:list[str])->str:
    """A function from its decorators to its docstring, with the comments of its parameters; `...` for the
    rest."""
    first, end = node.lineno - 1, node.body[0]
    head = lines[first:end.lineno - 1]
    if not head or end.lineno - 1 == first:  # a function on one line, or one that ends the signature's line
        upto = lines[end.lineno - 1].encode()[:end.col_offset].decode().rstrip()
        head = [*head, upto] if end.lineno - 1 > first else [upto]
    elif tail := lines[end.lineno - 1].encode()[:end.col_offset].decode().strip():
        head.append(" " * node.col_offset + tail)
    text = textwrap.dedent("\n".join(head))
    kept = [ast.unparse(d) for d in node.decorator_list if not is_patch(d)]
    if any("as_prop=True" in ast.unparse(d) for d in node.decorator_list): kept.append("property")
    if any("cls_method=True" in ast.unparse(d) for d in node.decorator_list): kept.append("classmethod")
    decorators = "".join(f"@{d}\n" for d in kept if d != "torch.no_grad()")
    return decorators + text + "\n" + documented(node) + "    ...\n"


def attributes(node:ast.ClassDef)->dict[str, str]:
    """What `__init__` and `__post_init__` set, and its type where an annotation or the parameter of that name
    tells it."""
    found = {}
    for f in node.body:
        if not isinstance(f, ast.FunctionDef) or f.name not in ("__init__", "__post_init__"): continue
        typed = {a.arg: ast.unparse(a.annotation) for a in [*f.args.args, *f.args.kwonlyargs] if a.annotation}
        for s in ast.walk(f):
            if isinstance(s, ast.AnnAssign) and ast.unparse(s.target).startswith("self."):
                found.setdefault(ast.unparse(s.target)[5:], ast.unparse(s.annotation))
            if not isinstance(s, ast.Assign): continue
            for target in s.targets:
                many = isinstance(target, ast.Tuple)
                values = (s.value.elts if many and isinstance(s.value, ast.Tuple)
                          else [s.value] * (len(target.elts) if many else 1))
                for t, v in zip(target.elts if many else [target], values):
                    if isinstance(t, ast.Attribute) and ast.unparse(t.value) == "self":
                        found.setdefault(t.attr,
                                         typed.get(v.id, "Any") if isinstance(v, ast.Name) else _kind(v))
    return found


def _kind(value:ast.expr)->str:
    "The type of a value, as far as it can be read off."
    if isinstance(value, ast.Constant):
        return {int: "int", float: "float", str: "str", bool: "bool"}.get(type(value.value), "Any")
    if isinstance(value, ast.Call) and (name := ast.unparse(value.func)) in ("tuple", "dict", "list", "set"):
        return name
    if isinstance(value, ast.Call) and name.split(".")[-1][:1].isupper(): return name
    return {ast.Tuple: "tuple", ast.List: "list", ast.Dict: "dict",
            ast.DictComp: "dict", ast.ListComp: "list"}.get(type(value), "Any")


def field_names(node:ast.ClassDef)->set[str]:
    "What a class says that it has."
    return {t.id for n in node.body if isinstance(n, ast.AnnAssign | ast.Assign)
            for t in ([n.target] if isinstance(n, ast.AnnAssign) else n.targets) if isinstance(t, ast.Name)}


def of_class(node:ast.ClassDef, more:list[ast.FunctionDef], inherited:set[str], lines:list[str])->str:
    """A class with its own methods and those that are patched in; `inherited` are fields of a base in this
    module."""
    out, indent = documented(node), lambda text: textwrap.indent(text, "    ")
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign | ast.Assign)]
    named = field_names(node) | inherited
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)] + more
    written = sorted({row for n in fields for row in range(n.lineno - 1, n.end_lineno)})
    out += "".join(f"    {lines[row].strip()}\n" for row in written)
    public = {m.name for m in methods}
    later = " = field(init=False)" if any("dataclass" in ast.unparse(d) for d in node.decorator_list) else ""
    out += "".join(f"    {k}: {v}{later}\n" for k, v in attributes(node).items()
                   if k not in named | public and not k.startswith("_"))
    out += "".join(indent(signature(m, lines)) for m in methods)
    decorators = "".join(f"@{ast.unparse(d)}\n" for d in node.decorator_list)
    bases = ", ".join(ast.unparse(b) for b in node.bases)
    return f"{decorators}class {node.name}({bases}):\n" + (out or "    ...\n")


def constant(node:ast.Assign|ast.AnnAssign)->str:
    "A module's constant with its type."
    if isinstance(node, ast.AnnAssign): return f"{ast.unparse(node.target)}: {ast.unparse(node.annotation)}\n"
    return "".join(f"{ast.unparse(t)}: {_kind(node.value)}\n"
                   for t in node.targets if isinstance(t, ast.Name) and t.id != "__all__")


def stub(module:Path)->str|None:
    """The text of a module's stub; `None` for a module that patches nothing.
    Raises `ValueError` for a patch of another module's class."""
    text = module.read_text(encoding="utf-8")
    tree, lines, patches = ast.parse(text), text.splitlines(), {}
    for node in tree.body:
        for name in patched(node): patches.setdefault(name, []).append(node)
    if not patches: return None
    classes = {n.name for n in tree.body if isinstance(n, ast.ClassDef)}
    if away := patches.keys() - classes:
        raise ValueError(f"{module.name} patches {sorted(away)}, "
                         f"which live elsewhere: editors would not see it")
    doc = ast.get_docstring(tree)
    out = [HEAD, f'"""{doc}"""\n' if doc else "",
           "from dataclasses import field\n", "from typing import Any\n"]
    for n in tree.body:
        if isinstance(n, ast.Import | ast.ImportFrom) and ast.unparse(n) != "from typing import Any":
            out.append(ast.unparse(n) + "\n")
        elif isinstance(n, ast.ClassDef):
            bases = [c for c in tree.body if isinstance(c, ast.ClassDef)
                     and c.name in map(ast.unparse, n.bases)]
            inherited = set().union(*map(field_names, bases))
            out.append("\n" + of_class(n, patches.get(n.name, []), inherited, lines))
        elif isinstance(n, ast.FunctionDef) and not patched(n): out.append("\n" + signature(n, lines))
        elif isinstance(n, ast.Assign | ast.AnnAssign): out.append(constant(n))
    exported = next(n for n in tree.body if isinstance(n, ast.Assign)
                    and ast.unparse(n.targets[0]) == "__all__")
    result = "".join(out) + "\n" + ast.unparse(exported) + "\n"
    ast.parse(result)
    return result


def merged(text:str)->str:
    """A module with the patched methods inside their classes, as type checkers can read it: the same lines in
    another order."""
    tree, lines, methods, gone = ast.parse(text), text.splitlines(), {}, set()
    for n in tree.body:
        for name in patched(n):
            said = [ast.unparse(d) for d in n.decorator_list]
            kept = [d for d, node in zip(said, n.decorator_list) if not is_patch(node)]
            if any("as_prop=True" in d for d in said): kept.append("property")
            if any("cls_method=True" in d for d in said): kept.append("classmethod")
            body = [f"@{d}" for d in kept] + lines[n.lineno - 1:n.end_lineno]
            methods.setdefault(name, []).append(textwrap.indent("\n".join(body), "    "))
            gone.update(range(n.decorator_list[0].lineno - 1, n.end_lineno))
    ends = {n.end_lineno - 1: methods.get(n.name, []) for n in tree.body if isinstance(n, ast.ClassDef)}
    return "\n".join(part for row, line in enumerate(lines) if row not in gone
                     for part in [line, *ends.get(row, [])]) + "\n"


def write(root:Path=ROOT)->None:
    "Write all stubs below `root`, and take away those of modules that patch nothing any more."
    settings = tomllib.loads((root/"pyproject.toml").read_text(encoding="utf-8"))
    for module in sorted((root/settings["tool"]["nbdev"]["lib_path"]).rglob("*.py")):
        if module.name in ("__init__.py", "_modidx.py"): continue
        text, file = stub(module), module.with_suffix(".pyi")
        if text is not None: file.write_text(text, encoding="utf-8")
        elif file.exists(): file.unlink()


if __name__ == "__main__": write()
