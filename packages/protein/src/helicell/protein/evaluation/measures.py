"""What is measured on each sample: the columns of the table, each with its meaning.

`measure_chain` computes everything that one backbone tells by itself; TM-scores, which compare backbones, are added by
`helicell.protein.evaluation.evaluation`. `MEASURES` names every column once, in the order in which it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from helicell.protein.evaluation import geometry
from helicell.protein.evaluation.ramachandran import FAVOURED, OUTLIER, RamachandranMap
from helicell.protein.evaluation.secondary_structure import assign_secondary_structure, ca_rule

if TYPE_CHECKING:
    from collections.abc import Mapping

    from helicell.protein.structures import Chain

# A sample counts as natural in size when its radius of gyration is within this share of the natural mean.
RG_TOLERANCE = 0.2


@dataclass(frozen=True, slots=True)
class Measure:
    """One column of the table and one line of the summary.

    Parameters
    ----------
    name
        The key in `metrics.json` and the column of `metrics.csv`.
    label
        The name for people.
    unit
        Empty for fractions, counts and scores.
    """

    name: str
    label: str
    unit: str = ""


MEASURES = (
    Measure("ca_ca_valid", "CA-CA distances within 3.6-4.0 A"),
    Measure("c_n_valid", "C-N bonds within 1.2-1.5 A"),
    Measure("n_ca_c_valid", "N-CA-C angles within 100-122 degrees"),
    Measure("omega_planar", "peptide groups within 30 degrees of planar"),
    Measure("phi_psi_favoured", "phi/psi inside the 98 % contour of real chains"),
    Measure("phi_psi_outliers", "phi/psi outside the 99.8 % contour of real chains"),
    Measure("ca_clashes", "CA pairs under 3.0 A, |i-j| > 2, a sample"),
    Measure("clash_free", "samples without such a pair"),
    Measure("backbone_clashes", "backbone atom pairs in impossible contact, a sample"),
    Measure("backbone_clash_free", "samples without such a contact"),
    Measure("rg", "radius of gyration", "A"),
    Measure("rg_ratio_to_natural", "radius of gyration over the natural mean"),
    Measure("rg_within_20", "samples within 20 % of that mean"),
    Measure("helix", "helix (DSSP)"),
    Measure("strand", "strand (DSSP)"),
    Measure("coil", "coil (DSSP)"),
    Measure("helix_ca", "helix (CA rule)"),
    Measure("strand_ca", "strand (CA rule)"),
    Measure("pairwise_tm", "TM-score between samples of one length"),
    Measure("cluster_fraction", "folds (clusters at TM 0.5) over samples compared"),
    Measure("novelty_tm", "TM-score to the nearest reference chain"),
)


def measure_chain(chain: Chain, *, ramachandran: RamachandranMap, natural_rg: float) -> dict[str, float]:
    """Measure one backbone by itself.

    Parameters
    ----------
    chain : Chain
        N, CA, C and O of one chain.
    ramachandran : RamachandranMap
        Where phi and psi belong.
    natural_rg : float
        Mean radius of gyration of real chains of this length, in Angstrom.

    Returns
    -------
    dict of str to float
        The measures of `MEASURES` in order, without the TM-scores.
    """
    coordinates = np.asarray(chain.coordinates, dtype=np.float64)
    return {
        "length": len(coordinates),
        **_bonds_and_angles(coordinates, ramachandran),
        **_clashes(coordinates),
        **_size(coordinates, natural_rg),
        **_secondary_structure(coordinates, chain.sequence),
    }


def _bonds_and_angles(coordinates: np.ndarray, ramachandran: RamachandranMap) -> Mapping[str, float]:
    phi, psi, omega = geometry.backbone_dihedrals(coordinates).T
    twist = np.abs(omega[np.isfinite(omega)])
    twist = np.minimum(twist, np.pi - twist)
    contour = ramachandran.contour(phi, psi)
    contour = contour[np.isfinite(contour)]
    return {
        "ca_ca_valid": geometry.within(geometry.ca_distances(coordinates), geometry.CA_CA_RANGE),
        "c_n_valid": geometry.within(geometry.peptide_bonds(coordinates), geometry.C_N_RANGE),
        "n_ca_c_valid": geometry.within(geometry.n_ca_c_angles(coordinates), geometry.N_CA_C_RANGE),
        "omega_planar": geometry.within(twist, (0.0, geometry.LARGEST_TWIST)),
        "phi_psi_favoured": geometry.within(contour, (0.0, FAVOURED)),
        "phi_psi_outliers": 1.0 - geometry.within(contour, (0.0, OUTLIER)),
    }


def _clashes(coordinates: np.ndarray) -> Mapping[str, float]:
    ca_clashes = geometry.count_ca_clashes(coordinates[:, geometry.CA])
    backbone_clashes = geometry.count_backbone_clashes(coordinates)
    return {
        "ca_clashes": ca_clashes,
        "clash_free": float(ca_clashes == 0),
        "backbone_clashes": backbone_clashes,
        "backbone_clash_free": float(backbone_clashes == 0),
    }


def _size(coordinates: np.ndarray, natural_rg: float) -> Mapping[str, float]:
    rg = geometry.radius_of_gyration(coordinates[:, geometry.CA])
    ratio = rg / natural_rg
    return {"rg": rg, "rg_ratio_to_natural": ratio, "rg_within_20": float(abs(ratio - 1.0) <= RG_TOLERANCE)}


def _secondary_structure(coordinates: np.ndarray, sequence: str) -> Mapping[str, float]:
    states = assign_secondary_structure(coordinates, sequence=sequence)
    ca_states = ca_rule(coordinates[:, geometry.CA])
    count = len(states)
    return {
        "helix": states.count("H") / count,
        "strand": states.count("E") / count,
        "coil": states.count("C") / count,
        "helix_ca": ca_states.count("H") / count,
        "strand_ca": ca_states.count("E") / count,
    }
