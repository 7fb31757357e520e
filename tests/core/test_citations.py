"""What to cite: found in what was used, printed as BibTeX."""

import io
import re
import subprocess
import sys

import pytest
import torch

import helicell.core
from helicell.core import citations
from helicell.core.errors import InputError
from helicell.core.paths import ExactTransport, GeodesicPath, UShapedTimes, WithinLabels, one_sided_linear
from helicell.core.spaces import Torus
from helicell.core.training.objectives import ConditionDropout, FlowObjective, PseudoHuber

KEYS = sorted(citations._PAPERS)


def test_an_objective_cites_all_its_parts():
    """Path, coupling, inner coupling, times, loss and dropout are found, each paper once."""
    objective = FlowObjective(
        torch.nn.Identity(),
        one_sided_linear(),
        coupling=WithinLabels(ExactTransport()),
        times=UShapedTimes(),
        loss=PseudoHuber(),
        dropout=ConditionDropout(),
    )
    printed = io.StringIO()
    helicell.core.cite(objective, objective, file=printed)
    found = re.findall(r"^@\w+\{(\w+),$", printed.getvalue(), re.MULTILINE)
    assert found == sorted(set(found))
    assert set(found) == {
        "albergo2023stochastic",
        "cheng2025curse",
        "flamary2021pot",
        "ho2022classifier",
        "lee2024improving",
        "lipman2023flow",
        "liu2023flow",
        "tong2024improving",
    }


def test_a_geodesic_path_cites_riemannian_flow_matching():
    """Also when it is one of several things, or named by its key."""
    assert set(citations.citation_keys([GeodesicPath(Torus())])) == {"chen2024flow"}
    assert list(citations.citation_keys("shaul2023kinetic")) == ["shaul2023kinetic"]


@pytest.mark.parametrize("key", KEYS)
def test_entries_are_complete_bibtex(key):
    """Every entry has title, authors, year and a place, balanced braces, and an identifier that looks like one."""
    entry = citations.bibtex(key)
    assert entry.count("{") == entry.count("}")
    for field in ("title", "author", "year"):
        assert f"  {field} = {{" in entry
    assert "journal = " in entry or "booktitle = " in entry
    assert re.search(r"year = \{(\d{4})\}", entry)[1] in key
    for number in re.findall(r"eprint = \{(.*)\}", entry):
        assert re.fullmatch(r"\d{4}\.\d{4,5}", number)


def test_unknown_keys_and_things_without_papers_are_named():
    """The nearest key is proposed; nothing to cite is said."""
    with pytest.raises(InputError, match="did you mean 'lipman2023flow'"):
        citations.cite("lipman2023flows")
    with pytest.raises(InputError, match="known papers"):
        citations.cite(Torus())


def test_importing_the_core_stays_light():
    """`import helicell.core` loads neither torch nor the citations."""
    code = "import sys, helicell.core; assert not {'torch', 'helicell.core.citations'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
