"""How the documentation is built; see `make docs`."""

import re
import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from reference_pages import write_pages

project = "Helicell"
author = "The Helicell developers"
copyright = "2026, The Helicell developers"
release = version = installed_version("helicell")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "Helicell"
html_static_path: list[str] = []
# Single backticks in docstrings mark code.
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
# Shapes stand in the annotations as strings; the docstrings say them in words.
autodoc_typehints = "none"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False


def plain_references(app: Any, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:  # noqa: ARG001
    """Keep the numbers of numpydoc references as text: as targets, those of two docstrings on a page would clash."""
    lines[:] = [re.sub(r"(?:\.\. )?\[(\d+)\]_?", r"[\1]", line) for line in lines]


def setup(app: Any) -> None:
    """Write the reference, and register the above."""
    write_pages(HERE / "reference" / "generated")
    app.connect("autodoc-process-docstring", plain_references)
