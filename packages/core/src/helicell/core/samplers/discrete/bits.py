"""Bit sequences: words are written one after another, or into any free place, and the reward is closeness to modes.

    log R(x) = -sharpness min_m d(x, m) / length, with the Hamming distance d to the modes m

Written one after another, the states are a tree; written into any place, a state has as many parents as words.

Malkin and others, Trajectory balance: improved credit assignment in GFlowNets, arXiv 2201.13259.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helicell.core.errors import InputError, unknown_option
from helicell.core.samplers.discrete.environment import Environment, States

ORDERS = ("append", "any")
EMPTY = -1
# The bytes of which the modes of the paper are made.
BLOCKS = ("00000000", "11111111", "11110000", "00001111", "00111100")


class BitSequences(Environment):
    """Sequences of bits, written in words.

    A state holds the value of each word, -1 where it is not written yet.

    Parameters
    ----------
    modes
        The sequences to be near to, zeros and ones, shape [modes, length].
    word
        Bits in a word; it divides the length.
    sharpness
        How much the reward falls with the distance.
    order
        "append" writes words one after another, action v writing the value v. "any" writes into any free place, action
        p 2^word + v writing the value v into place p.

    Raises
    ------
    InputError
        If there is no mode or such order, or the words do not fit the length.

    Examples
    --------
    >>> bits = BitSequences(torch.tensor([[0, 1, 1, 0]]), word=2)
    >>> states = bits.step(bits.initial(1), torch.tensor([1]))
    >>> states, bits.log_potential(states)
    (tensor([[ 1, -1]], dtype=torch.int16), tensor([-0.]))
    """

    def __init__(
        self, modes: Int[Tensor, "modes length"], *, word: int = 1, sharpness: float = 10.0, order: str = "append"
    ) -> None:
        if order not in ORDERS:
            raise unknown_option("order", order, ORDERS)
        count, self.length = modes.shape
        if not count or not 1 <= word <= 8 or self.length % word:
            message = (
                f"{count} modes of {self.length} bits in words of {word}; expected a mode, and 1 to 8 bits that fit"
            )
            raise InputError(message)
        self.modes, self.word, self.sharpness, self.order = modes, word, sharpness, order
        self.words, self.values = self.length // word, 2**word
        bits = torch.arange(self.values)[:, None] >> torch.arange(word - 1, -1, -1) & 1
        # The distance between value v and the word in place p of mode m, by p, v and m.
        target = modes.reshape(count, self.words, word)
        self.distances = (bits[:, None, None] != target).sum(dim=-1).permute(2, 0, 1).float()
        self.actions = self.values if order == "append" else self.words * self.values
        self.backward_actions = 1 if order == "append" else self.words
        self.features = self.words * self.values
        self.longest = self.words
        self.ends_by_stopping = order == "append" or self.words == 1

    def initial(self, count: int) -> States:
        return torch.full((count, self.words), EMPTY, dtype=torch.int16, device=self.device)

    def allowed(self, states: States) -> Bool[Tensor, "batch actions"]:
        free = states == EMPTY
        if self.order == "append":
            return free[:, -1:].expand(-1, self.values)
        return free.repeat_interleave(self.values, dim=1)

    def undoable(self, states: States) -> Bool[Tensor, "batch backward_actions"]:
        written = states != EMPTY
        return written[:, :1] if self.order == "append" else written

    def terminal(self, states: States) -> Bool[Tensor, " batch"]:
        return (states != EMPTY).all(dim=1)

    def step(self, states: States, actions: Int[Tensor, " batch"]) -> States:
        if self.order == "append":
            place, value = self._written(states), actions
        else:
            place, value = actions // self.values, actions % self.values
        return states.scatter(1, place[:, None], value[:, None].to(states.dtype))

    def undo(self, states: States, backward_actions: Int[Tensor, " batch"]) -> States:
        place = self._written(states) - 1 if self.order == "append" else backward_actions
        return states.scatter(1, place[:, None], EMPTY)

    def backward_of(self, states: States, actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        return torch.zeros_like(actions) if self.order == "append" else actions // self.values

    def forward_of(self, states: States, backward_actions: Int[Tensor, " batch"]) -> Int[Tensor, " batch"]:
        place = self._written(states) - 1 if self.order == "append" else backward_actions
        value = states.gather(1, place[:, None])[:, 0].long()
        return value if self.order == "append" else place * self.values + value

    def encode(self, states: States) -> Float[Tensor, "batch features"]:
        values = torch.arange(self.values, device=states.device)
        return (states[:, :, None] == values).flatten(1).float()

    def log_reward(self, states: States) -> Float[Tensor, " batch"]:
        return self.log_potential(states)

    def log_potential(self, states: States) -> Float[Tensor, " batch"]:
        """Return the log-reward by the distance between what is written and the nearest mode."""
        distance = self.encode(states) @ self.distances.flatten(0, 1)
        return -self.sharpness * distance.amin(dim=1) / self.length

    def _written(self, states: States) -> Int[Tensor, " batch"]:
        return (states != EMPTY).sum(dim=1)

    def describe(self, states: States) -> list[str]:
        width = self.word
        return ["".join("." * width if v == EMPTY else f"{v:0{width}b}" for v in row) for row in states.tolist()]


def block_modes(length: int, count: int, generator: torch.Generator) -> Int[Tensor, "modes length"]:
    """Draw modes that are made of the paper's five bytes.

    Raises
    ------
    InputError
        If the length is no multiple of 8.
    """
    if length < 8 or length % 8:
        message = f"modes of {length} bits cannot be made of bytes; give a multiple of 8"
        raise InputError(message)
    blocks = torch.tensor([[int(bit) for bit in block] for block in BLOCKS])
    chosen = torch.randint(len(BLOCKS), (count, length // 8), generator=generator)
    return blocks[chosen].flatten(1)
