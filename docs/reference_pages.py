"""Writes the pages of the reference: one a package, with every public module of it in the order of the tree."""

from pathlib import Path

PACKAGES = {"core": "Core", "protein": "Proteins"}
SOURCES = Path(__file__).resolve().parents[1] / "packages"
# The command line is told by `--help` and by its own page.
LEFT_OUT = ("_", "cli", "console")
DIRECTIVE = "```{{eval-rst}}\n.. automodule:: {module}\n   :members:\n   :show-inheritance:\n```\n"


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
