"""Conditions: sets with doses, embeddings, and what is not known."""

import pytest
import torch

from helicell.cells.conditions import ConditionEncoder, Conditions, parse_condition
from helicell.cells.responses import PopulationKey
from helicell.core.errors import InputError


def key(condition, **rest):
    """Return the key of a population of donor A."""
    return PopulationKey("A", condition, **rest)


def test_sets_are_read_with_their_doses():
    """A dose of its own wins over the common one; a name may hold the sign of a dose."""
    assert parse_condition("x+y@0.5", dose=2.0) == {"x": 2.0, "y": 0.5}
    assert parse_condition("a@b") == {"a@b": None}


@pytest.mark.parametrize("text", ["", "x+", "x+x", "x@1+x@2"])
def test_faulty_sets_are_refused(text):
    """An empty name and a name given twice are errors."""
    with pytest.raises(InputError, match="condition"):
        parse_condition(text)


def test_the_order_of_a_set_does_not_matter():
    """x+y and y+x have one vector."""
    conditions = Conditions.of([key("x"), key("y"), key("x+y")])
    encoder = ConditionEncoder(conditions.treatment_features, 0, width=8)
    first, second = encoder(conditions.encode([key("x+y"), key("y+x")]))
    torch.testing.assert_close(first, second)


def test_doses_and_cell_types_tell_conditions_apart():
    """Another dose or cell type has another vector; an unknown cell type is left open."""
    keys = [key("x", dose=d, cell_type=t) for d in (0.1, 10.0) for t in ("B", "T")]
    conditions = Conditions.of(keys)
    encoder = ConditionEncoder(conditions.treatment_features, 2, width=8)
    vectors = encoder(conditions.encode(keys))
    assert torch.pdist(vectors).min() > 1e-4
    assert not conditions.encode([key("x", dose=0.1, cell_type="new")]).cell_types.any()


def test_an_unseen_treatment_is_refused_without_an_embedding():
    """The error names it, the nearest known name and all known ones; with embeddings it is told by its vector."""
    with pytest.raises(InputError, match=r"'drg1'.*did you mean 'drug1'.*known: drug1, drug2"):
        Conditions.of([key("drug1"), key("drug2")]).encode([key("drg1")])
    embeddings = {name: torch.randn(3) for name in ("drug1", "drug2", "unseen")}
    conditions = Conditions.of([key("drug1"), key("drug2")], embeddings=embeddings)
    encoded = conditions.encode([key("unseen")])
    assert torch.equal(encoded.treatments[0, 0, :3], embeddings["unseen"])
    with pytest.raises(InputError, match="has no embedding"):
        conditions.encode([key("other")])
    later = conditions.with_embeddings({"other": torch.ones(3)})
    assert torch.equal(later.encode([key("other")]).treatments[0, 0, :3], torch.ones(3))


def test_embeddings_must_fit():
    """Of one length, finite, one for each trained treatment; and no negative dose."""
    with pytest.raises(InputError, match="one length"):
        Conditions(["x"], embeddings={"x": torch.ones(2), "y": torch.ones(3)})
    with pytest.raises(InputError, match="not finite"):
        Conditions(["x"], embeddings={"x": torch.tensor([torch.nan])})
    with pytest.raises(InputError, match="each treatment"):
        Conditions(["x"], embeddings={"y": torch.ones(2)})
    with pytest.raises(InputError, match="dose"):
        Conditions.of([key("x", dose=-1.0)])
