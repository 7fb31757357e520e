"""Design of screens: which perturbations to combine, in proportion to how well their joint response is predicted.

    design = propose_sets(reward, perturbations, size=(1, 3), settings=ScreenSettings(sharpness=8))
    table = design.table

A screen cannot test all combinations, and the best predicted ones alone would all be alike, where a model may be wrong.
A sampler of sets (`helicell.core.samplers.discrete`) proposes each set with probability proportional to

    exp(sharpness * reward(set))

where the reward is any function of sets: a predicted response, weighted as the user wants it (`weighted_response`),
less a cost. From what it proposes, the table holds the best sets that differ from each other in enough perturbations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from helicell.core.errors import InputError, suggestion
from helicell.core.runs.settings import Settings
from helicell.core.samplers.discrete import DiscreteSettings, DiscreteTrainer, SetEnvironment, draw, train

SetReward = Callable[[Sequence[tuple[str, ...]]], Sequence[float]]
"""From sets of perturbations, tuples of names in the order of the screen, to a number for each: more is better."""
# Walks that draw together when sets are proposed.
BATCH = 256


class ScreenSettings(Settings):
    """How sets are proposed.

    Examples
    --------
    >>> ScreenSettings(sharpness=20).proposals
    2000
    """

    sharpness: float = Field(10.0, gt=0, description="how much more often better sets are proposed")
    objective: Literal["tb", "vargrad", "subtb", "db"] = Field("tb", description="what the sampler minimises")
    iterations: int = Field(1000, ge=1, description="training iterations")
    batch: int = Field(32, ge=1, description="sets of an iteration")
    hidden: int = Field(128, ge=1, description="width of the sampler's network")
    learning_rate: float = Field(2e-3, gt=0, description="of the sampler")
    exploration: float = Field(0.2, ge=0, le=1, description="share of blind choices at the start")
    replay_share: float = Field(0.25, ge=0, lt=1, description="share of the batch that starts from sets seen before")
    proposals: int = Field(2000, ge=1, description="sets that are drawn in the end")
    seed: int = Field(0, ge=0, description="seed of everything that is random")


@dataclass(frozen=True, slots=True)
class ScreenDesign:
    """Proposed sets of perturbations.

    Attributes
    ----------
    table
        The chosen sets, the best first: columns `rank`, `set` (names joined by "+", as in the condition column of
        populations), `size`, `reward`, `proposed` (share of the proposals) and `probability` (what the reward asks for,
        with the estimated normalisation).
    share
        How often each perturbation is in a proposed set, by name.
    log_z, ess
        The estimated logarithm of the sum of exp(sharpness * reward) over all sets, and the effective sample size of
        the proposals as a share; an `ess` far below 1 asks for more iterations.
    calls
        Sets of which the reward was asked.
    trainer
        The trained sampler.
    """

    table: pd.DataFrame
    share: pd.Series[float]
    log_z: float
    ess: float
    calls: int
    trainer: DiscreteTrainer


def propose_sets(
    reward: SetReward,
    perturbations: Sequence[str],
    *,
    size: int | tuple[int, int],
    top: int = 20,
    least_difference: int = 1,
    settings: ScreenSettings | None = None,
    report: Callable[[int, float], None] | None = None,
) -> ScreenDesign:
    """Learn to propose sets of perturbations and return the best that differ.

    Parameters
    ----------
    reward
        Called with lists of sets; asked once for each set, what it says is remembered.
    perturbations
        Names of all perturbations.
    size
        How many a set has, or the fewest and the most.
    top
        Sets of the table.
    least_difference
        In how many perturbations two sets of the table differ at least: the size of the larger less what they share.
    settings
        How to learn and propose.
    report
        Called after every training iteration with its number and loss.

    Raises
    ------
    InputError
        If the sizes do not fit the perturbations, names are repeated, or a reward is missing or not finite; the line
        names the set.

    Examples
    --------
    >>> def reward(sets):
    ...     return [len({"TP53", "KRAS"} & set(names)) - 0.5 * len(names) for names in sets]
    >>> settings = ScreenSettings(iterations=50, proposals=200, hidden=16)
    >>> design = propose_sets(reward, ["TP53", "KRAS", "MYC", "EGFR"], size=(1, 2), top=3, settings=settings)
    >>> design.table["set"][0]
    'TP53+KRAS'
    """
    settings = settings or ScreenSettings()
    if top < 1 or least_difference < 1:
        message = f"a table of {top} sets that differ in {least_difference}; expected 1 or more of both"
        raise InputError(message)
    names = tuple(perturbations)
    known = _KnownRewards(reward, names)
    environment = SetEnvironment(len(names), size, lambda sets: settings.sharpness * known(sets), names=names)
    trainer = train(environment, _sampler_settings(settings), report=report)
    drawn = draw(trainer.policy, settings.proposals, seed=settings.seed, batch=BATCH)
    sets = environment.sets(drawn.states).cpu()
    distinct, counts = sets.unique(dim=0, return_counts=True)
    rewards = known(distinct)
    order = rewards.argsort(descending=True, stable=True)
    rows = [int(row) for row in order if bool(rewards[row].isfinite())]
    chosen = _differing(distinct, rows, top=top, least=least_difference)
    picked = torch.tensor(chosen)
    log_z = drawn.log_z_rw
    table = pd.DataFrame(
        {
            "rank": range(1, len(chosen) + 1),
            "set": ["+".join(environment.members(distinct[row])) for row in chosen],
            "size": distinct[picked].sum(dim=1).tolist(),
            "reward": rewards[picked].tolist(),
            "proposed": (counts[picked] / len(sets)).tolist(),
            "probability": (settings.sharpness * rewards[picked] - log_z).exp().tolist(),
        }
    )
    share = pd.Series(sets.double().mean(dim=0).tolist(), index=pd.Index(names, name="perturbation"), name="share")
    return ScreenDesign(table, share, log_z, drawn.ess, known.calls, trainer)


def weighted_response(
    predict: Callable[[Sequence[tuple[str, ...]]], Float[Tensor, "sets features"]],
    weights: Mapping[str, float],
    features: Sequence[str],
    *,
    cost: float = 0.0,
) -> SetReward:
    """Return the reward of a predicted response, weighted by what the user wants of it.

    Parameters
    ----------
    predict
        From sets to the predicted mean response of each, say the change of every gene or the share of every state.
    weights
        How much an increase of a feature is worth, by its name; negative where a decrease is wanted.
    features
        Names of the columns of the prediction.
    cost
        What each perturbation of a set takes away.

    Raises
    ------
    InputError
        If a weight is for no feature.

    Examples
    --------
    >>> reward = weighted_response(lambda sets: torch.ones(len(sets), 2), {"CD8A": 2.0}, ["CD8A", "PDCD1"], cost=0.5)
    >>> reward([("IL2",), ("IL2", "IL15")])
    [1.5, 1.0]
    """
    position = {name: number for number, name in enumerate(features)}
    vector = torch.zeros(len(position), dtype=torch.float64)
    for name, weight in weights.items():
        if name not in position:
            message = f"there is a weight for {name!r}, which is no feature{suggestion(name, position)}; drop it"
            raise InputError(message)
        vector[position[name]] = weight

    def reward(sets: Sequence[tuple[str, ...]]) -> list[float]:
        predicted = predict(sets).to(vector)
        sizes = torch.tensor([len(names) for names in sets], dtype=vector.dtype)
        return (predicted @ vector - cost * sizes).tolist()

    return reward


class _KnownRewards:
    """A reward over rows of booleans that asks for each set once."""

    def __init__(self, reward: SetReward, names: tuple[str, ...]) -> None:
        self.reward, self.names = reward, names
        self.known: dict[tuple[str, ...], float] = {}

    @property
    def calls(self) -> int:
        return len(self.known)

    def __call__(self, sets: Bool[Tensor, "sets perturbations"]) -> Float[Tensor, " sets"]:
        keys = [tuple(self.names[item] for item, inside in enumerate(row) if inside) for row in sets.tolist()]
        unknown = list(dict.fromkeys(key for key in keys if key not in self.known))
        if unknown:
            values = [float(value) for value in self.reward(unknown)]
            if len(values) != len(unknown):
                message = f"the reward gave {len(values)} numbers for {len(unknown)} sets; expected one for each set"
                raise InputError(message)
            self.known.update(zip(unknown, values, strict=True))
        return torch.tensor([self.known[key] for key in keys], dtype=torch.float64)


def _sampler_settings(settings: ScreenSettings) -> DiscreteSettings:
    shared = settings.model_dump(exclude={"sharpness", "proposals"})
    return DiscreteSettings(**shared)


def _differing(sets: Tensor, rows: Sequence[int], *, top: int, least: int) -> list[int]:
    """Return the first rows of which each differs from those before in at least so many perturbations."""
    chosen: list[int] = []
    for row in rows:
        if len(chosen) == top:
            break
        if chosen:
            before = sets[chosen]
            shared = (before & sets[row]).sum(dim=1)
            larger = before.sum(dim=1).maximum(sets[row].sum())
            if bool((larger - shared < least).any()):
                continue
        chosen.append(row)
    return chosen
