"""What commands print: results on standard output, everything else on standard error."""

import json
import logging

import pytest

from helicell.core.console import print_json, print_mapping, print_table, progress_bar, start_logging


@pytest.fixture(autouse=True)
def restore_logging():
    """Leave the logger of the package as it was."""
    logger = logging.getLogger("helicell")
    handlers, level = logger.handlers, logger.level
    yield
    logger.handlers = handlers
    logger.setLevel(level)


@pytest.mark.parametrize(
    ("quiet", "expected"), [(False, "3 [chains] read\nwarning: 1 skipped\n"), (True, "warning: 1 skipped\n")]
)
def test_messages_go_to_standard_error(capsys, quiet, expected):
    """Messages are told from results, keep their brackets, and only warnings are left when quiet."""
    start_logging(quiet=quiet)
    log = logging.getLogger("helicell.protein")
    log.info("%d [chains] read", 3)
    log.warning("%d skipped", 1)
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", expected)


def test_a_long_message_stays_on_one_line(capsys):
    """A line of a log file is one message."""
    start_logging(quiet=False)
    logging.getLogger("helicell").info("word " * 100)
    assert capsys.readouterr().err.count("\n") == 1


def test_json_is_for_programs(capsys):
    """What is printed parses back to what was given; NaN, which is no JSON, is refused."""
    print_json({"length": 80, "names": ["a"]})
    assert json.loads(capsys.readouterr().out) == {"length": 80, "names": ["a"]}
    with pytest.raises(ValueError, match="JSON compliant"):
        print_json({"loss": float("nan")})


def test_tables_show_every_value_in_full_when_piped(capsys):
    """Long names are neither folded nor cut, brackets survive, numbers have four digits, and None is empty."""
    name = "sample_" + "x" * 120 + "[red]"
    print_table("chains", ["file", "TM"], [(name, 0.123456), ("b", None)])
    out = capsys.readouterr().out
    assert name in out
    assert "0.1235" in out
    assert "None" not in out


def test_a_mapping_is_a_table_of_two_columns(capsys):
    """Names and values stand side by side."""
    print_mapping("summary", {"helix": 0.38, "count": 24})
    lines = capsys.readouterr().out.splitlines()
    assert any("helix" in line and "0.38" in line for line in lines)
    assert any("count" in line and "24" in line for line in lines)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_progress_bar_is_silent_off_a_terminal(capsys, quiet):
    """Log files are not filled with bars, and the callback works all the same."""
    with progress_bar("sampling", 3, quiet=quiet) as advance:
        for _ in range(3):
            advance(1)
    assert capsys.readouterr().out == ""
