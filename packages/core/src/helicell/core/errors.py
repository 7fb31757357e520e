"""The errors that Helicell raises.

A message is one line that says what was given, what was expected and how to mend it. The command line prints that line
and ends with the error's `exit_code`; anything else that escapes is a bug and keeps its traceback.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import ClassVar


class HelicellError(Exception):
    """The work failed although its input was good, as when a program that it needs stopped."""

    exit_code: ClassVar[int] = 1


class InputError(HelicellError, ValueError):
    """What the user gave cannot be used: a value, a file, a folder, a setting."""

    exit_code: ClassVar[int] = 2


class MissingPackageError(HelicellError, ImportError):
    """An optional package is needed and not installed.

    Parameters
    ----------
    package
        The name by which the package is imported.
    extra
        The extra of Helicell that installs it.
    purpose
        What it is needed for, as it stands after "for".
    """

    def __init__(self, package: str, *, extra: str, purpose: str) -> None:
        message = f'the package {package!r} is needed for {purpose}; install it with: pip install "helicell[{extra}]"'
        super().__init__(message, name=package)


def unknown_option(name: str, given: object, known: Iterable[str]) -> InputError:
    """Build the error for an option whose value is none of the known ones.

    Parameters
    ----------
    name
        The option, as the user knows it.
    given
        The value that was given.
    known
        The values that exist.

    Returns
    -------
    InputError
        To be raised by the caller.

    Examples
    --------
    >>> unknown_option("format", "pdbx", ["cif", "pdb"])
    InputError("unknown format 'pdbx' (did you mean 'pdb'?); choose one of: cif, pdb")
    """
    names = list(known)
    return InputError(f"unknown {name} {given!r}{suggestion(str(given), names)}; choose one of: {', '.join(names)}")


def suggestion(given: str, known: Iterable[str]) -> str:
    """Return " (did you mean 'x'?)" for the known name nearest to `given`, or nothing when none is near.

    Examples
    --------
    >>> suggestion("lenght", ["length", "count"])
    " (did you mean 'length'?)"
    >>> suggestion("banana", ["length", "count"])
    ''
    """
    nearest = get_close_matches(given, list(known), n=1)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""
