"""The pages of the reference: one a package, with every public module of it in the order of the tree.

Docstrings are written as plain text with numpydoc sections: |x|, x_ and [*shape, 3] mean what they say in mathematics.
reStructuredText would take them for markup, so they are escaped here.
"""

import re
from pathlib import Path
from typing import Any

PACKAGES = {"core": "Core", "protein": "Proteins", "cells": "Cells"}
SOURCES = Path(__file__).resolve().parents[1] / "packages"
# The command line is told by `--help` and by its own page.
LEFT_OUT = ("_", "cli", "console")
DIRECTIVE = """```{{eval-rst}}
.. automodule:: {module}
   :members:
   :ignore-module-all:
   :show-inheritance:
```
"""

CODE = re.compile(r"(``.+?``|`[^`]+`)")
MARKUP = re.compile(r"[|*]|(?<=\w)_(?!\w)")
REFERENCE = re.compile(r"^(\s*)\.\. \[\d+\]")


def write_pages(folder: Path) -> None:
    """Write a page for each package into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for package, title in PACKAGES.items():
        modules = public_modules(SOURCES / package / "src")
        (folder / f"{package}.md").write_text(page(title, modules), encoding="utf-8")


def public_modules(source: Path) -> list[str]:
    """Return the dotted names of the public modules and packages under a source tree."""
    names = []
    for file in sorted(source.rglob("*.py")):
        parts = file.relative_to(source).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if not any(part.startswith(LEFT_OUT) for part in parts):
            names.append(".".join(parts))
    return sorted(names)


def page(title: str, modules: list[str]) -> str:
    """Return the text of a page: a heading for each module, and its docstrings."""
    sections = [f"# {title}\n"]
    for module in modules:
        depth = min(module.count(".") - 1, 3)
        if depth > 0:
            sections.append(f"{'#' * (depth + 1)} {module}\n")
        sections.append(DIRECTIVE.format(module=module))
    return "\n".join(sections)


def plain_text(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Escape, in the lines of a docstring, what reStructuredText would take for markup."""
    block_indent = None
    for number, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if block_indent is not None and line.strip() and indent <= block_indent:
            block_indent = None
        if block_indent is None and not line.lstrip().startswith((">>>", "...")):
            lines[number] = escape_line(line)
            if line.rstrip().endswith("::") or line.lstrip().startswith(".. math::"):
                block_indent = indent


def escape_line(line: str) -> str:
    """Escape one line outside of backticks; a numbered reference becomes an item of a numbered list."""
    line = REFERENCE.sub(r"\1#.", line).replace("]_", "]")
    parts = CODE.split(line)
    return "".join(part if part.startswith("`") else MARKUP.sub(r"\\\g<0>", part) for part in parts)
