"""The vendored molecule viewer, and the escaping that lets scripts and data stand inside a page."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

__all__ = ["Library", "inline_json", "inline_script", "viewer_library"]


@dataclass(frozen=True, slots=True)
class Library:
    """A JavaScript library shipped inside the package."""

    name: str
    version: str
    licence: str
    licence_text: str
    source: str
    sha256: str
    script: str


@cache
def viewer_library() -> Library:
    """Read 3Dmol.js (Rego and Koes, Bioinformatics 2015, 31:1322) as it is shipped.

    Returns
    -------
    Library
        The minified script with its version, licence and the checksum it was vendored with.

    Examples
    --------
    >>> viewer_library().name
    '3Dmol.js'
    """
    folder = resources.files("helicell.core.reports") / "assets"
    card = json.loads((folder / "3Dmol.json").read_text(encoding="utf-8"))
    return Library(
        name=card["name"],
        version=card["version"],
        licence=card["licence"],
        licence_text=(folder / card["licence_file"]).read_text(encoding="utf-8"),
        source=card["source"],
        sha256=card["sha256"],
        script=(folder / card["script"]).read_text(encoding="utf-8"),
    )


def inline_script(script: str) -> str:
    r"""Escape a script so that it can stand between script tags.

    The HTML parser ends a script at ``</script`` and changes its mode at ``<!--`` and ``<script``, wherever they
    stand. In JavaScript such a text can only be part of a string, a regular expression or a comment, where a
    backslash before the second character changes nothing.

    Examples
    --------
    >>> inline_script("page = '<b></b></script>'")
    "page = '<b></b><\\/script>'"
    """
    return re.sub(r"<(?=/script|!--|script)", r"<\\", script, flags=re.IGNORECASE)


def inline_json(value: object) -> str:
    r"""Write a value as JSON that can stand in a script element: no character of it can close the element.

    Examples
    --------
    >>> inline_json({"name": "</script>"})
    '{"name": "\\u003c/script>"}'
    """
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("<", "\\u003c")
