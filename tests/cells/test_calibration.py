"""How much of the flow is followed: what carries over to other donors, and nothing else."""

import pytest
import torch

from helicell.cells import PopulationFlow, PopulationFlowSettings, PopulationKey, Response
from helicell.cells.calibration import folds_of

QUICK = {
    "optimiser": {"steps": 80, "warm_up": 10, "average_decay": 0.9, "learning_rate": 3e-3},
    "field": {"width": 32, "layers": 2},
    "encoder": {"width": 16},
    "cells": 64,
    "coupling": {"pool": 64},
}


def settings_with(**calibration):
    """Return quick settings with some of their calibration changed."""
    return PopulationFlowSettings.from_mapping({**QUICK, "calibration": calibration})


def responses(*, alike, donors=6, cells=120):
    """Return donors whose cells shrink to a third, all in one direction or each in a random one."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for number in range(donors):
        control, treated = torch.randn(2, cells, 4, generator=generator)
        direction = torch.randn(4, generator=generator) if not alike else torch.tensor([1.0, 0.0, 0.0, 0.0])
        direction = direction / direction.norm()
        treated = treated - 2 / 3 * (treated @ direction)[:, None] * direction
        found.append(Response(PopulationKey(f"{number}", "x"), control, treated + 2.0))
    return found


def test_what_all_donors_share_is_followed_and_what_is_their_own_is_not():
    """The share is near one for a common response, and small where each donor's is another one."""
    common, own = (PopulationFlow.fit(responses(alike=alike), settings_with()) for alike in (True, False))
    assert common.share > 0.8
    assert own.share < 0.5


def test_it_is_repeatable():
    """Data, settings and seed determine the share."""
    shares = [PopulationFlow.fit(responses(alike=False), settings_with(), seed=seed).share for seed in (0, 0, 1)]
    assert shares[0] == shares[1] != shares[2]


@pytest.mark.parametrize(
    ("calibration", "donors"), [({"kind": "none"}, 6), ({"donors": 5}, 6), ({}, 1)], ids=["none", "many", "one"]
)
def test_all_of_it_is_followed_unasked(calibration, donors):
    """Without calibration, with many donors, and with one, where there is nothing to hold out."""
    model = PopulationFlow.fit(responses(alike=False, donors=donors), settings_with(**calibration))
    assert folds_of(model) == []
    assert model.share == 1


def test_every_donor_is_held_out_once():
    """Folds are apart and together all donors, also where fewer donors than folds are given."""
    model, _ = PopulationFlow.prepare(responses(alike=True, donors=3), settings_with(folds=5))
    folds = folds_of(model)
    assert sorted(donor for fold in folds for donor in fold) == ["0", "1", "2"]
    assert len(folds) == 3


def test_cells_go_the_share_of_their_ways_and_the_shift_of_their_population():
    """Ends are linear in the share; trajectories lead to where transport puts the cells."""
    model = PopulationFlow.fit(responses(alike=True), settings_with(kind="none"))
    control = responses(alike=True)[0].control
    ends = []
    for share in (0.0, 0.5, 1.0):
        model.network.share.fill_(share)
        ends.append(model.transport(control, "x"))
        torch.testing.assert_close(model.trajectory(control, "x")[-1], ends[-1], rtol=0, atol=1e-3)
    torch.testing.assert_close(ends[1], (ends[0] + ends[2]) / 2)
    moved = ends[0] - control
    torch.testing.assert_close(moved, moved[:1].expand_as(moved))
    torch.testing.assert_close(ends[2].mean(dim=0), ends[0].mean(dim=0), rtol=0, atol=1e-3)
