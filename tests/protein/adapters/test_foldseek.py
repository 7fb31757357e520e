"""Foldseek: its table is read as it writes it, and its absence is told. The program itself is not run here."""

from pathlib import Path

import pytest

from helicell.core.errors import HelicellError, InputError
from helicell.protein.adapters.foldseek import check_database, nearest_hits, parse_hits, search_foldseek

# Lines of the form that the program writes for --format-output query,target,qtmscore,ttmscore,alntmscore.
RECORDED = (
    "sample_000001.cif\t7vep_A\t4.045E-01\t4.832E-01\t4.832E-01\n"
    "sample_000001.cif\t8bbe_C\t3.863E-01\t3.604E-01\t3.604E-01\n"
    "sample_000001.cif\t4wsl_A\t4.148E-01\t3.008E-01\t4.508E-01\n"
    "noise_0.5.pdb.gz\t8bbe_C\t9.100E-01\t1.000E+00\t9.500E-01\n"
)


def test_the_nearest_is_the_highest_by_the_length_of_the_sample() -> None:
    """Neither the first line nor the score by another length decides; samples are known without their suffix."""
    nearest = nearest_hits(parse_hits(RECORDED))
    assert {name: (hit.target, hit.by_query) for name, hit in nearest.items()} == {
        "sample_000001": ("4wsl_A", 0.4148),
        "noise_0.5": ("8bbe_C", 0.91),
    }


@pytest.mark.parametrize("line", ["a.cif\tb\t0.5\n", "a.cif\tb\tmuch\t0.5\t0.5\n", "query,target,qtmscore\n"])
def test_a_table_of_another_form_is_refused(line: str) -> None:
    """A column too few, a word for a number, a header: the line is quoted."""
    with pytest.raises(HelicellError, match="line 5 of foldseek's table"):
        parse_hits(RECORDED + line)


def test_what_is_absent_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the program, a store is proposed; without the database, how to make one."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match=r"foldseek is not on the PATH.*--reference"):
        search_foldseek(tmp_path, tmp_path)
    with pytest.raises(InputError, match=r"no Foldseek database .*foldseek createdb"):
        check_database(tmp_path / "absent")
    assert check_database(tmp_path) == tmp_path
