"""The natural figures: those in the package, and those made of a store."""

from pathlib import Path

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.evaluation import ReferenceProfile
from helicell.protein.evaluation.building import measure_natural, natural_chains
from helicell.protein.evaluation.measures import MEASURES
from helicell.protein.evaluation.ramachandran import OUTLIER, RamachandranMap
from helicell.protein.evaluation.reference import RadiusLaw
from helicell.protein.structures import Chain


@pytest.mark.parametrize("length", [60, 80, 100, 120])
def test_the_shipped_figures_are_those_of_crystals(length: int) -> None:
    """At the lengths that are asked for most, all measures are known and what every crystal shows is there."""
    natural = ReferenceProfile.shipped().natural(length)
    assert {measure.name for measure in MEASURES} <= natural.keys()
    assert natural["ca_ca_valid"] == pytest.approx(0.997, abs=0.002)
    assert natural["c_n_valid"] > 0.999
    assert natural["n_ca_c_valid"] > 0.995
    assert natural["clash_free"] > 0.99
    assert natural["rg_within_20"] > 0.99
    assert natural["helix"] == pytest.approx(0.33, abs=0.06)
    assert natural["strand"] == pytest.approx(0.25, abs=0.06)
    assert natural["helix"] + natural["strand"] + natural["coil"] == pytest.approx(1)
    assert 0.25 < natural["pairwise_tm"] < 0.35
    assert natural["pairwise_tm"] + 0.1 < natural["novelty_tm"] < 0.8


def test_figures_between_lengths_are_interpolated_and_held_beyond() -> None:
    """Halfway between two lengths stands their mean; at 20 and 500 residues the nearest, but the radius goes on."""
    profile = ReferenceProfile.shipped()
    assert profile.natural(70)["helix"] == pytest.approx(
        (profile.natural(60)["helix"] + profile.natural(80)["helix"]) / 2
    )
    assert profile.natural(500)["helix"] == profile.natural(300)["helix"]
    assert profile.natural(500)["rg"] > 1.15 * profile.natural(300)["rg"]


def test_the_radius_law_of_natural_chains() -> None:
    """Compact globules grow with the cube root of their length, 2.7 A times the length to the power of about 0.35."""
    law = ReferenceProfile.shipped().radius_law
    assert law.exponent == pytest.approx(0.35, abs=0.02)
    assert law.mean(100) == pytest.approx(13.5, abs=0.3)
    fitted = RadiusLaw.fit(np.array([50, 100, 200]), 2.5 * np.array([50, 100, 200]) ** 0.4)
    assert (fitted.scale, fitted.exponent) == pytest.approx((2.5, 0.4))


def test_the_map_has_its_regions_where_proteins_have_them() -> None:
    """Helix, strand and left-handed helix are inside; phi near zero, where no chain can turn, is outside."""
    ramachandran = ReferenceProfile.shipped().ramachandran
    phi, psi = np.deg2rad([[-63, -120, 57, 0, -63], [-43, 135, 47, 90, 60]])
    helix, strand, left, forbidden, rare = ramachandran.contour(phi, psi)
    assert helix < 0.1
    assert strand < 0.8
    assert left < 0.98
    assert forbidden > OUTLIER
    assert 0.5 < rare < 1


def test_the_mass_of_a_contour_is_the_share_of_residues_inside() -> None:
    """Of fresh draws from the distribution that the map was made of, as many fall inside a contour as it says."""
    rng = np.random.default_rng(0)
    phi, psi = rng.vonmises(-1.2, 4, 400_000), rng.vonmises(2.3, 2, 400_000)
    ramachandran = RamachandranMap.from_angles(phi[::2], psi[::2])
    inside = ramachandran.contour(phi[1::2], psi[1::2])
    for mass in (0.5, 0.9, 0.98):
        assert np.mean(inside <= mass) == pytest.approx(mass, abs=0.02)
    assert np.isnan(ramachandran.contour(np.array([np.nan]), np.array([0.0]))).all()
    # The map has no edge: a full turn more is the same place.
    np.testing.assert_array_equal(
        ramachandran.contour(phi[:50] + 2 * np.pi, psi[:50]), ramachandran.contour(phi[:50], psi[:50])
    )
    with pytest.raises(InputError, match="phi and psi"):
        RamachandranMap.from_angles(np.array([np.nan]), np.array([1.0]))


def test_profiles_survive_the_disk(tmp_path: Path) -> None:
    """What is saved is loaded, twice to the same bytes; anything else is refused by name."""
    profile = ReferenceProfile.shipped()
    for name in ("one.npz", "two.npz"):
        profile.save(tmp_path / name)
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    loaded = ReferenceProfile.load(tmp_path / "one.npz")
    assert loaded.natural(77) == profile.natural(77)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("not an archive")
    for name in ("other.npz", "text.npz", "absent.npz"):
        with pytest.raises(InputError, match=f"{name} is no reference profile"):
            ReferenceProfile.load(tmp_path / name)
    with pytest.raises(InputError, match=r"does not end in \.npz"):
        profile.save(tmp_path / "profile")


def test_a_store_gives_figures_of_its_own(natural_store: ChainStore) -> None:
    """Chains of a store are measured at the lengths asked for; lengths it does not hold are left out."""
    shipped = ReferenceProfile.shipped()
    own = measure_natural(shipped, natural_store, np.array([80, 100, 250]), chains_per_length=40, compared=4)
    assert own.lengths.tolist() == [80, 100]
    assert own.natural(80)["ca_ca_valid"] == pytest.approx(shipped.natural(80)["ca_ca_valid"], abs=0.01)
    assert own.radius_law == shipped.radius_law
    assert "novelty_tm" not in own.measures
    with pytest.raises(InputError, match="fewer than 20 natural chains"):
        measure_natural(shipped, natural_store, np.array([250]))


def test_natural_chains_are_chosen_by_what_is_known(globins: list[Chain], tmp_path: Path) -> None:
    """Predictions, tangles and relatives are left out where the store has the columns; without them all chains stay."""
    facts = {
        "globular": [True, True, True, False],
        "predicted": [False, False, True, False],
        "cluster30": [5, 5, 6, 7],
    }
    full = write_store(tmp_path / "full", globins[:4], columns=facts)
    assert natural_chains(full).names.tolist() == [globins[0].name]
    assert len(natural_chains(write_store(tmp_path / "bare", globins[:4]))) == 4
    none = write_store(tmp_path / "none", globins[:1], columns={"globular": [False]})
    with pytest.raises(InputError, match="no globular experimental chain"):
        natural_chains(none)


def test_the_documentation_gives_these_figures(root: Path) -> None:
    """The table of natural figures in the documentation is that of the shipped profile."""
    page = (root / "docs" / "explanation" / "measures.md").read_text(encoding="utf-8")
    lines = [line.strip("| \n").split(" | ") for line in page.splitlines() if line.startswith("| ")]
    lengths = [int(length) for length in lines[0][1:]]
    names = {line[0].strip("`"): [float(value) for value in line[1:]] for line in lines[2:]}
    profile = ReferenceProfile.shipped()
    assert len(names) >= 15
    for name, values in names.items():
        assert values == pytest.approx(
            [profile.natural(length)[name] for length in lengths], abs=0.06 if name == "rg" else 6e-4
        )
