"""How the documentation is built; see `make docs`."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent

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
# Types are said in words, such as "sequence of str", in which Sphinx looks for attributes of that name.
suppress_warnings = ["ref.python"]


def setup(app: Any) -> None:
    """Write the reference, and read docstrings as the plain text that they are."""
    sys.path.insert(0, str(HERE))
    from reference_pages import plain_text, write_pages

    write_pages(HERE / "reference" / "generated")
    # Before napoleon, which makes markup of the sections.
    app.connect("autodoc-process-docstring", plain_text, priority=400)
