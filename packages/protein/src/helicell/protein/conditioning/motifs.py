"""Motifs: residues of a given structure that a new chain shall hold, in the places and with the letters they have.

A motif is one rigid body, however many pieces it has: what counts is where its residues lie to each other, never where
the motif lies in space. `Motif.placed` puts it where a backbone's own residues come nearest, and `MotifReward` is how
near they come.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

from helicell.core.errors import InputError
from helicell.core.spaces import quaternions
from helicell.protein.conditioning.contigs import Contig, Piece
from helicell.protein.evaluation.superposition import superpose
from helicell.protein.frames import Frames, backbone_from_frames, frames_from_backbone
from helicell.protein.structures import Residues, read_residues

# Neighbours along a chain have their CA atoms 3.8 A apart; so much is the most that a new residue bridges.
CA_STEP = 3.8
# Two residues are neighbours already when C and N are within this (Angstrom).
PEPTIDE_BOND = 1.7
# Prediction and motif may differ by about so much (Angstrom), say all atoms together, while both still settle.
TOLERANCE = 2.5


@dataclass(frozen=True, slots=True)
class Motif:
    """The pieces of a contig, cut from a structure.

    Attributes
    ----------
    source
        Name of the file.
    labels
        Chain and number of each residue in the file, such as A25.
    sequence
        Its letters.
    coordinates
        N, CA, C, O: float32 [residues, 4, 3], Angstrom.
    frames
        Residue frames, shape [residues, ...], centred.
    """

    source: str
    labels: tuple[str, ...]
    sequence: str
    coordinates: np.ndarray
    frames: Frames

    def __len__(self) -> int:
        return len(self.sequence)

    def placed(self, frames: Frames) -> Frames:
        """Return the motif where the given frames [batch, motif residues, ...] come nearest to it.

        N, CA and C of all residues are superposed with the least square error, each by itself in the batch.
        """
        count = len(frames.translations)
        own = Frames(*(part.to(frames.translations).expand(count, -1, -1) for part in _parts(self.frames)))
        rotation, translation = superposed(_backbone(own), _backbone(frames))
        turn = rotation[:, None].expand_as(own.quaternions)
        return Frames(
            quaternions.rotate(turn, own.translations) + translation[:, None],
            quaternions.multiply(turn, own.quaternions),
        )


def read_motif(path: str | Path, contig: Contig) -> Motif:
    """Cut the pieces of a contig from a PDB, mmCIF or BinaryCIF file.

    Raises
    ------
    InputError
        If the file cannot be read, lacks a chain or a residue, a residue is asked for twice, or two pieces lie too far
        apart for the residues between them.
    """
    residues = read_residues(path)
    rows = [_rows(residues, piece, str(path)) for piece in contig.pieces]
    chosen = np.concatenate(rows)
    labels = [f"{residues.chain[row]}{residues.number[row]}" for row in chosen]
    twice = next((label for place, label in enumerate(labels) if label in labels[:place]), None)
    if twice is not None:
        message = f"the contig {contig} holds residue {twice} twice; let its pieces not overlap"
        raise InputError(message)
    _check_bridges(residues, rows, contig)
    coordinates = residues.coordinates[chosen]
    frames = frames_from_backbone(torch.from_numpy(coordinates[:, :3]))
    centre = frames.translations.mean(dim=0)
    return Motif(
        source=Path(path).name,
        labels=tuple(labels),
        sequence="".join(residues.letters[chosen].tolist()),
        coordinates=coordinates,
        frames=Frames(frames.translations - centre, frames.quaternions),
    )


def motif_places(gaps: Sequence[int], piece_lengths: Sequence[int]) -> Int[Tensor, " motif"]:
    """Return where the residues of the motif stand in a chain with these gaps, counted from 0."""
    places: list[int] = []
    position = gaps[0]
    for length, gap in zip(piece_lengths, gaps[1:], strict=True):
        places += range(position, position + length)
        position += length + gap
    return torch.tensor(places)


def piece_lengths(motif: Motif, contig: Contig) -> list[int]:
    """Return the number of residues of each piece."""
    starts = [motif.labels.index(f"{piece.chain}{piece.first}") for piece in contig.pieces]
    return np.diff([*starts, len(motif)]).tolist()


@dataclass(frozen=True, slots=True)
class MotifReward:
    """How near the predicted residues come to the motif: minus half the squared errors over the tolerance, summed.

    Parameters
    ----------
    motif
        The motif.
    places
        Where its residues stand in each chain, shape [batch, motif residues].
    """

    motif: Motif
    places: Int[Tensor, "batch motif"]

    def __call__(self, frames: Frames, mask: Bool[Tensor, "batch residues"]) -> Float[Tensor, " batch"]:
        """Return the reward of predicted frames [batch, residues, ...]; the place of the motif carries no gradient."""
        own = taken(frames, self.places.to(mask.device))
        # At the best place the error does not change with the place, to first order: its gradient is not needed.
        with torch.no_grad():
            target = _backbone(self.motif.placed(own))
        error = (_backbone(own) - target).square().sum(dim=(1, 2))
        return -error / (2 * TOLERANCE**2)


def superposed(
    mobile: Float[Tensor, "batch points 3"], fixed: Float[Tensor, "batch points 3"]
) -> tuple[Float[Tensor, "batch 4"], Float[Tensor, "batch 3"]]:
    """Return the rotation (quaternion) and the translation that bring points onto others with the least square error.

    References
    ----------
    W. Kabsch, Acta Cryst. A 32, 922 (1976).
    """
    mobile_centre, fixed_centre = mobile.mean(dim=1), fixed.mean(dim=1)
    covariance = (fixed - fixed_centre[:, None]).transpose(1, 2) @ (mobile - mobile_centre[:, None])
    left, _, right = torch.linalg.svd(covariance)
    # A reflection would fit better where this sign is negative; turn the weakest axis instead.
    sign = torch.linalg.det(left) * torch.linalg.det(right)
    left = torch.cat((left[..., :2], left[..., 2:] * sign.sign()[:, None, None]), dim=-1)
    rotation = quaternions.from_matrix(left @ right)
    return rotation, fixed_centre - quaternions.rotate(rotation, mobile_centre)


def rmsd(mobile: NDArray[np.floating], fixed: NDArray[np.floating]) -> float:
    """Return the root mean square distance (Angstrom) of corresponding points [..., 3] after superposition."""
    one, other = (points.reshape(1, -1, 3).astype(np.float64) for points in (mobile, fixed))
    rotation, one_centre, other_centre = superpose(one, other, np.ones(one.shape[:2]))
    moved = (one - one_centre) @ rotation + other_centre
    return round(float(np.sqrt(np.mean(np.sum((moved - other) ** 2, axis=-1)))), 4)


def taken(frames: Frames, places: Int[Tensor, "batch motif"]) -> Frames:
    """Return the frames at some places of each chain, shape [batch, motif, ...]."""
    return Frames(*(part.gather(1, places[..., None].expand(-1, -1, part.shape[-1])) for part in _parts(frames)))


def put(frames: Frames, places: Int[Tensor, "batch motif"], values: Frames) -> Frames:
    """Return the frames with those at some places of each chain replaced."""
    return Frames(
        *(
            whole.scatter(1, places[..., None].expand_as(part), part)
            for whole, part in zip(_parts(frames), _parts(values), strict=True)
        )
    )


def _rows(residues: Residues, piece: Piece, source: str) -> np.ndarray:
    """Return the rows of a piece, all of whose residues must be there."""
    own = np.flatnonzero(residues.chain == piece.chain)
    if not len(own):
        known = ", ".join(dict.fromkeys(residues.chain.tolist()))
        message = f"{source} has no chain {piece.chain}, which the contig names; it has: {known}"
        raise InputError(message)
    numbers = residues.number[own].tolist()
    for end in (piece.first, piece.last):
        if end not in numbers:
            raise _missing(source, piece, end, numbers)
    rows = own[numbers.index(piece.first) : numbers.index(piece.last) + 1]
    there = set(residues.number[rows].tolist())
    if piece.first.lstrip("-").isdigit() and piece.last.lstrip("-").isdigit():
        for number in range(int(piece.first), int(piece.last) + 1):
            if str(number) not in there:
                raise _missing(source, piece, str(number), numbers)
    return rows


def _missing(source: str, piece: Piece, number: str, numbers: Sequence[str]) -> InputError:
    message = f"chain {piece.chain} of {source} has no residue {number} with N, CA and C; it has {_ranges(numbers)}"
    return InputError(message)


def _ranges(numbers: Sequence[str], *, most: int = 6) -> str:
    """Write numbers of residues as ranges: 1-63, 70-98."""
    stretches: list[list[str]] = []
    for number in numbers:
        if stretches and _follows(stretches[-1][-1], number):
            stretches[-1].append(number)
        else:
            stretches.append([number])
    written = [stretch[0] if len(stretch) == 1 else f"{stretch[0]}-{stretch[-1]}" for stretch in stretches]
    return ", ".join(written[:most]) + (" ..." if len(written) > most else "")


def _follows(one: str, other: str) -> bool:
    return one.lstrip("-").isdigit() and other.lstrip("-").isdigit() and int(other) == int(one) + 1


def _check_bridges(residues: Residues, rows: Sequence[np.ndarray], contig: Contig) -> None:
    """Refuse gaps that no chain can bridge, and pieces side by side that are no neighbours."""
    for before, after, gap, pieces in zip(
        rows, rows[1:], contig.gaps[1:], zip(contig.pieces, contig.pieces[1:], strict=False), strict=False
    ):
        here, there = residues.coordinates[before[-1]], residues.coordinates[after[0]]
        apart = float(np.linalg.norm(there[1] - here[1]))
        needed = int(np.ceil(apart / CA_STEP)) - 1
        neighbours = float(np.linalg.norm(there[0] - here[2])) < PEPTIDE_BOND
        ends = f"{pieces[0].chain}{pieces[0].last} and {pieces[1].chain}{pieces[1].first}"
        if gap.most == 0 and not neighbours:
            message = f"{ends} are no neighbours ({apart:.1f} A apart); put new residues between, such as {needed + 3}"
            raise InputError(message)
        if gap.most < needed and not neighbours:
            message = f"{ends} are {apart:.1f} A apart, which {gap.most} residues cannot bridge; allow {needed} or more"
            raise InputError(message)


def _parts(frames: Frames) -> tuple[Tensor, Tensor]:
    return frames.translations, frames.quaternions


def _backbone(frames: Frames) -> Tensor:
    """Return N, CA and C of frames [batch, residues, ...] as points [batch, 3 residues, 3]."""
    return backbone_from_frames(frames)[..., :3, :].flatten(1, 2)
