"""The names that `helicell.protein` offers."""

import subprocess
import sys

import pytest

import helicell.protein


def test_every_name_is_what_its_module_holds():
    """Each announced name loads, and is listed for completion."""
    for name in helicell.protein.__all__:
        assert getattr(helicell.protein, name).__name__ == name
        assert name in dir(helicell.protein)


@pytest.mark.parametrize("module", ["model", "generation"])
def test_names_do_not_depend_on_what_was_imported_first(module):
    """A module of the package never hides a function of the same name."""
    code = (
        f"import helicell.protein.{module}\n"
        "from helicell.protein import generate, load_model\n"
        "assert callable(generate) and callable(load_model)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_unknown_name_is_an_attribute_error():
    """The usual error, so that `hasattr` and `from ... import` behave."""
    with pytest.raises(AttributeError, match="no attribute 'banana'"):
        helicell.protein.banana  # noqa: B018


def test_importing_the_package_is_quick():
    """The command line imports the package, and must not wait for torch."""
    code = "import sys, helicell.protein; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
