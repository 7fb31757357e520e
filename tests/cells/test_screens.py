"""Screens: sets are proposed as often as the reward says, by enumeration; the table holds the best that differ."""

import itertools
import math

import pytest
import torch

from helicell.cells.screens import ScreenSettings, propose_sets, weighted_response
from helicell.core.errors import InputError

GENES = ["TP53", "KRAS", "MYC", "EGFR", "PTEN", "RB1"]
SETTINGS = ScreenSettings(iterations=300, hidden=48, learning_rate=5e-3, batch=32, proposals=3000, sharpness=2.0)


def synergy(names):
    """Return a reward with single effects, a synergy, an antagonism and a cost."""
    single = {"TP53": 0.6, "KRAS": 0.4, "MYC": 0.2, "EGFR": -0.3, "PTEN": 0.1, "RB1": 0.0}
    value = sum(single[name] for name in names) - 0.2 * len(names)
    value += 0.9 * ({"EGFR", "RB1"} <= set(names))
    return value - 0.8 * ({"TP53", "KRAS"} <= set(names))


def reward(sets):
    """Return the reward of each set."""
    return [synergy(names) for names in sets]


def enumerated(sizes, sharpness):
    """Return all sets and what share of the proposals is their due."""
    sets = [names for size in sizes for names in itertools.combinations(GENES, size)]
    values = torch.tensor([sharpness * synergy(names) for names in sets], dtype=torch.float64)
    return sets, values.softmax(dim=0), float(values.logsumexp(dim=0))


def test_sets_are_proposed_in_proportion():
    """Total variation, shares of the perturbations and log Z against enumeration; every reward is asked for once."""
    asked = []

    def recorded(sets):
        asked.extend(sets)
        return reward(sets)

    design = propose_sets(recorded, GENES, size=(1, 3), top=41, settings=SETTINGS)
    sets, due, log_z = enumerated((1, 2, 3), SETTINGS.sharpness)
    assert len(asked) == len(set(asked)) == design.calls <= len(sets)
    proposed = dict(zip(design.table["set"], design.table["proposed"], strict=True))
    found = torch.tensor([proposed.get("+".join(names), 0.0) for names in sets], dtype=torch.float64)
    # 3000 draws from the exact distribution are 0.04 away from it on average.
    assert 0.5 * float((found - due).abs().sum()) < 0.09
    assert design.log_z == pytest.approx(log_z, abs=0.05)
    assert design.ess > 0.9
    for gene in GENES:
        exact = sum(float(p) for names, p in zip(sets, due, strict=True) if gene in names)
        assert design.share[gene] == pytest.approx(exact, abs=0.05)
    best = max(range(len(sets)), key=lambda number: due[number])
    first = design.table.iloc[0]
    assert first["set"] == "+".join(sets[best])
    assert first["probability"] == pytest.approx(float(due[best]), rel=0.06)
    assert design.table["reward"].is_monotonic_decreasing
    assert design.table["rank"].tolist() == list(range(1, len(design.table) + 1))


def test_sets_of_the_table_differ_enough():
    """Any two in two perturbations or more, and no better set that does was left out."""
    design = propose_sets(reward, GENES, size=3, top=5, least_difference=2, settings=SETTINGS)
    chosen = [set(text.split("+")) for text in design.table["set"]]
    assert all(3 - len(a & b) >= 2 for a, b in itertools.combinations(chosen, 2))
    ranked = sorted(itertools.combinations(GENES, 3), key=synergy, reverse=True)
    greedy = []
    for names in ranked:
        if all(3 - len(set(names) & other) >= 2 for other in greedy):
            greedy.append(set(names))
    values = [synergy(sorted(names, key=GENES.index)) for names in chosen]
    best = [synergy(sorted(names, key=GENES.index)) for names in greedy[: len(chosen)]]
    assert values == pytest.approx(best)


def test_the_same_seed_proposes_the_same_sets():
    """And another one does not."""
    quick = SETTINGS.model_copy(update={"iterations": 5, "proposals": 50})
    tables = [propose_sets(reward, GENES, size=2, settings=quick).table for _ in range(2)]
    assert tables[0].equals(tables[1])
    other = propose_sets(reward, GENES, size=2, settings=quick.model_copy(update={"seed": 1})).table
    assert not other["proposed"].equals(tables[0]["proposed"])


def test_responses_are_weighted():
    """Wanted and unwanted features, and a cost of each perturbation."""

    def predict(sets):
        return torch.tensor([[len(names), 2.0 * ("MYC" in names), 7.0] for names in sets])

    value = weighted_response(predict, {"up": 1.0, "down": -3.0}, ["up", "down", "ignored"], cost=0.25)
    assert value([("TP53",), ("TP53", "MYC")]) == pytest.approx([0.75, -4.5])
    with pytest.raises(InputError, match=r"'dwn', which is no feature \(did you mean 'down'"):
        weighted_response(predict, {"dwn": 1.0}, ["up", "down"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"size": 7}, "sets of 7 to 7 of 6 items"),
        ({"size": 2, "top": 0}, "a table of 0 sets"),
        ({"size": 2, "least_difference": 0}, "differ in 0"),
    ],
)
def test_designs_that_cannot_be_are_refused(arguments, message):
    """Sizes and tables."""
    with pytest.raises(InputError, match=message):
        propose_sets(reward, GENES, **arguments)


def test_rewards_that_are_missing_or_not_finite_name_the_set():
    """NaN, infinity, and too few numbers."""
    quick = SETTINGS.model_copy(update={"iterations": 20})
    for value in (math.nan, math.inf):
        with pytest.raises(InputError, match=r"\{TP53.*\} is (nan|inf)"):
            propose_sets(lambda sets, v=value: [v if "TP53" in s else 0 for s in sets], GENES, size=2, settings=quick)
    with pytest.raises(InputError, match="expected one for each set"):
        propose_sets(lambda sets: [1.0], GENES, size=2, settings=quick)
    with pytest.raises(InputError, match="5 different names for 6 items"):
        propose_sets(reward, [*GENES[:5], "TP53"], size=2, settings=quick)
