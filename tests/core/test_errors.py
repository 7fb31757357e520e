"""The package's own errors."""

import pytest

from helicell.core.errors import HelicellError, InputError, MissingPackageError, suggestion, unknown_option


def test_bad_input_is_also_a_value_error():
    """Python users who never heard of Helicell's errors still catch them by the standard ones."""
    assert issubclass(InputError, ValueError)
    assert issubclass(InputError, HelicellError)
    assert issubclass(MissingPackageError, ImportError)


def test_exit_codes_tell_bad_input_from_failure():
    """A script can tell from the exit code whether to mend its input (2) or to look for another cause (1)."""
    assert (HelicellError("x").exit_code, InputError("x").exit_code) == (1, 2)
    assert MissingPackageError("mpnn", extra="mpnn", purpose="design").exit_code == 1


def test_unknown_option_names_the_near_and_all_known_values():
    """The one line says what was given, what was probably meant, and what exists."""
    message = str(unknown_option("device", "cudda", ["auto", "cpu", "cuda"]))
    assert message == "unknown device 'cudda' (did you mean 'cuda'?); choose one of: auto, cpu, cuda"


@pytest.mark.parametrize(("given", "expected"), [("stepz", " (did you mean 'steps'?)"), ("qqqq", "")])
def test_suggestion_only_when_near(given, expected):
    """A far-fetched suggestion would mislead, so there is none."""
    assert suggestion(given, ["steps", "seed"]) == expected


def test_missing_package_says_how_to_install_it():
    """The message holds a command that can be pasted."""
    error = MissingPackageError("openmm", extra="conformers", purpose="the torsion energies")
    assert 'pip install "helicell[conformers]"' in str(error)
    assert error.name == "openmm"
