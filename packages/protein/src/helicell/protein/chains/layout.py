"""The files of a chain store, and how coordinates are coded in them.

A store is a folder:

======================== ============================ =====================================================
file                     array                        holds
======================== ============================ =====================================================
``store.json``                                        format version, counts, fingerprint, provenance
``offsets.npy``          int64 [chains + 1]           where each chain starts in the per-residue arrays
``origins.npy``          int32 [chains, 3]            first CA of each chain, in 0.001 A
``coordinates.npy``      int16 [residues, 4, 3]       N, CA, C, O as steps of 0.001 A, see below
``sequence.npy``         uint8 [residues]             one-letter codes, ASCII
``secondary.npy``        uint8 [residues]             H, E or C, ASCII
``names.npy``            unicode [chains]             name of each chain
``columns/NAME.npy``     any plain type [chains]      further facts: cluster30, predicted, source, globular...
======================== ============================ =====================================================

Every array is an ordinary NumPy file that ``numpy.load(..., mmap_mode="r")`` reads anywhere.

Coordinates are integers in thousandths of an Angstrom, the precision of a PDB file: the CA row of a residue
is the step from the previous CA, the other rows are relative to the residue's own CA. Steps between bonded
residues fit 16 bits many times over, so a residue takes 24 bytes, half of float32, and integer sums bring the
coordinates back to half a thousandth of an Angstrom without drift.
"""

import numpy as np
from numpy.typing import NDArray

from helicell.core.errors import InputError
from helicell.protein.structures import Chain

FORMAT_NAME = "helicell-chains"
FORMAT_VERSION = 1
METADATA_FILE = "store.json"
COLUMN_FOLDER = "columns"

# Resolution of a stored coordinate in Angstrom: the third decimal of a PDB file.
RESOLUTION = 0.001
# A step of this many units (32.8 A) does not fit 16 bits; bonded residues stay under 4 A.
MAX_STEP = np.iinfo(np.int16).max
# Origins are 32-bit; no file places atoms a tenth of a millimetre (A) away from its origin.
MAX_COORDINATE = 1_000_000.0

RESIDUE_ARRAYS: dict[str, tuple[type[np.generic], tuple[int, ...]]] = {
    "coordinates": (np.int16, (4, 3)),
    "sequence": (np.uint8, ()),
    "secondary": (np.uint8, ()),
}


def encode(chain: Chain) -> tuple[NDArray[np.int16], NDArray[np.int32]]:
    """Integer steps [residues, 4, 3] of a chain and the position of its first CA, in units of the resolution."""
    coordinates = np.asarray(chain.coordinates, np.float64)
    residues = len(coordinates)
    problem = None
    if coordinates.shape != (residues, 4, 3) or not residues:
        problem = f"coordinates of shape {coordinates.shape}, not [residues, 4, 3]"
    elif not (len(chain.sequence) == len(chain.secondary_structure) == residues):
        problem = f"{residues} residues, {len(chain.sequence)} letters, {len(chain.secondary_structure)} states"
    elif not np.abs(coordinates).max() < MAX_COORDINATE:
        problem = "coordinates that are not finite numbers"
    if problem is None:
        units = np.rint(coordinates / RESOLUTION).astype(np.int32)
        alpha = units[:, 1].copy()
        steps = units - alpha[:, None]
        steps[1:, 1] = np.diff(alpha, axis=0)
        if np.abs(steps).max() <= MAX_STEP:
            return steps.astype(np.int16), alpha[0]
        problem = f"neighbouring atoms over {MAX_STEP * RESOLUTION:.0f} A apart; cut it at its breaks"
    message = f"chain {chain.name} cannot be stored: it has {problem}"
    raise InputError(message)


def decode(steps: NDArray[np.int16], origin: NDArray[np.int32]) -> NDArray[np.float32]:
    """Coordinates [residues, 4, 3] in Angstrom from the stored steps."""
    units = steps.astype(np.int32)
    alpha = np.cumsum(units[:, 1], axis=0) + origin
    units[:, 1] = 0
    units += alpha[:, None]
    return np.multiply(units, np.float32(RESOLUTION), dtype=np.float32)
