"""The measures that decide on a chain, against closed forms and the values that the real data set comes with."""

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.filters import (
    ChainFilter,
    Measures,
    contacts_per_residue,
    distorted_fraction,
    gyration_ratio,
    measure,
)
from helicell.protein.chains.sources.backbones import decode_backbones
from helicell.protein.structures import Chain, read_chains

GOOD = Measures(coil=0.4, rg_ratio=1.0, contacts12=1.0, distorted=0.0, globular=True)


def test_measures_agree_with_the_data_set(data_dir):
    """Compactness, contacts and the verdict on being globular are those that the data set gives for its chains."""
    with np.load(data_dir / "proteins" / "backbones.npz") as archive:
        offsets, facts = archive["offsets"], {name: archive[name] for name in ("rg_ratio", "contacts12", "globular")}
        atoms = decode_backbones(archive["lo"], archive["hi"], offsets)
        letters, states = archive["seq"].tobytes().decode(), archive["ss"].tobytes().decode()
    verdicts = 0
    for index in range(0, len(offsets) - 1, 40):
        part = slice(offsets[index], offsets[index + 1])
        measures = measure(Chain("a", atoms[part], letters[part], states[part]))
        assert measures.rg_ratio == pytest.approx(facts["rg_ratio"][index], abs=5e-4)
        # Pairs at exactly 8.00 A, which there are as the data are rounded to 0.01 A, may fall on either side.
        assert measures.contacts12 == pytest.approx(facts["contacts12"][index], abs=2.01 / (part.stop - part.start))
        assert measures.globular == facts["globular"][index]
        verdicts += measures.globular
    assert 300 < verdicts < 450


def test_a_ring_has_the_radius_of_its_circle():
    """CA atoms on a circle have its radius as radius of gyration."""
    angles = np.linspace(0, 2 * np.pi, 50, endpoint=False)
    ring = np.zeros((50, 4, 3), np.float32)
    ring[:, 1, :2] = 30 * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    assert gyration_ratio(ring) == pytest.approx(30 / (2.2 * 50**0.38), rel=1e-6)


def test_contacts_are_pairs_far_along_the_chain():
    """Of a hairpin with strands 5 A apart, exactly the pairs over 11 residues apart and under 8 A count."""
    strand = np.arange(20) * 3.8
    alpha = np.concatenate([np.stack([strand, 0 * strand], 1), np.stack([strand[::-1], 0 * strand + 5.0], 1)])
    hairpin = np.zeros((40, 4, 3))
    hairpin[:, 1, :2] = alpha
    distances = np.linalg.norm(alpha[:, None] - alpha, axis=-1)
    expected = np.sum(np.triu(distances < 8.0, 12)) / 40
    assert expected > 0
    assert contacts_per_residue(hairpin) == pytest.approx(expected)


def test_misbuilt_residues_are_counted_once(entries):
    """A real chain has none; a moved atom makes its residue count, and the one before if the peptide is off too."""
    chain = read_chains(entries / "2gtl.cif")[0].coordinates
    assert distorted_fraction(chain) == 0.0
    moved = chain.copy()
    moved[10, 1] += 2.0
    assert distorted_fraction(moved) == pytest.approx(1 / len(chain))
    moved[10] = chain[10] + 2.0
    assert distorted_fraction(moved) == pytest.approx(2 / len(chain))


@pytest.mark.parametrize(
    ("changed", "limits", "reason"),
    [
        ({"coil": 0.6}, {"max_coil": 0.5}, "coil fraction above 0.5"),
        ({"rg_ratio": 1.3}, {"max_rg_ratio": 1.25}, "radius of gyration above 1.25"),
        ({"contacts12": 0.2}, {"min_contacts": 0.3}, "fewer than 0.3 contacts"),
        ({"distorted": 0.11}, {}, "over 0.1 of its residues distorted"),
        ({"globular": False}, {"globular_only": True}, "not globular"),
    ],
)
def test_each_limit_rejects_for_its_own_reason(changed, limits, reason):
    """A chain beyond one limit is rejected in words that name it; at the limit, or without it, it stays."""
    values = {name: getattr(GOOD, name) for name in ("coil", "rg_ratio", "contacts12", "distorted", "globular")}
    bad, chosen = Measures(**(values | changed)), ChainFilter(**limits)
    assert reason in chosen.reject(bad, predicted=False)
    assert chosen.reject(GOOD, predicted=False) is None
    assert ChainFilter(max_distorted=None).reject(bad, predicted=False) is None


def test_lengths_and_origins():
    """Both ends of the range belong to it; predictions are left out only on request."""
    limits = ChainFilter(min_length=40, max_length=60)
    assert [limits.reject_length(length) is None for length in (39, 40, 60, 61)] == [False, True, True, False]
    assert limits.reject(GOOD, predicted=True) is None
    assert "predicted" in ChainFilter(experimental_only=True).reject(GOOD, predicted=True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"min_length": 0}, "min_length is 0"),
        ({"min_length": 90, "max_length": 80}, "min_length 90 is above max_length 80"),
        ({"max_coil": 1.5}, "max_coil is 1.5"),
        ({"max_coli": 0.5}, "did you mean 'max_coil'"),
    ],
)
def test_senseless_limits(values, message):
    """Limits that nothing can keep, and misspelt ones, are errors of one line."""
    with pytest.raises(InputError, match=message):
        ChainFilter.from_mapping(values)
