"""The vendored viewer is the published file, and scripts keep their meaning when they are inlined."""

import hashlib
import json
import re
from importlib import resources

from helicell.core.reports.library import inline_json, inline_script, viewer_library


def test_vendored_viewer_is_the_published_file() -> None:
    """3Dmol-min.js has the checksum of the file in the npm package 3dmol 2.5.5, and carries its licence."""
    library = viewer_library()
    path = resources.files("helicell.core.reports") / "assets" / "3Dmol-min.js"
    assert library.version == "2.5.5"
    assert library.sha256 == "f7cc78921ae72e7623e89cdd111434f58c2efddd2ffda1cd212644b406fb8016"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == library.sha256
    assert library.licence == "BSD-3-Clause"
    assert "University of Pittsburgh" in library.licence_text
    assert "Redistributions in binary form must reproduce" in library.licence_text


def test_inlined_script_cannot_end_early() -> None:
    """No text that ends a script or changes the parser's mode survives, in any case, and nothing else changes."""
    script = "a = '</script>'; b = '</SCRIPT >'; c = '<!-- x'; d = '<script'; e = 1 < 2; f = '</b>'"
    inlined = inline_script(script)
    assert not re.search(r"</script|<!--|<script", inlined, re.IGNORECASE)
    assert inlined.replace("<\\", "<") == script
    assert not re.search(r"</script|<!--", inline_script(viewer_library().script), re.IGNORECASE)


def test_inlined_json_is_the_same_value() -> None:
    """JSON without any `<` reads back to what was written."""
    value = {"</script>": ["<!--", 1.5, None, "é"]}
    assert "<" not in inline_json(value)
    assert json.loads(inline_json(value)) == value
