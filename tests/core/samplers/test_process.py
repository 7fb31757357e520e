"""Reference processes: forward and backward kernels belong to one process; grids run from 0 to 1."""

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.samplers.networks import log_normal
from helicell.core.samplers.process import (
    Brownian,
    OrnsteinUhlenbeck,
    VariancePreserving,
    geometric_grid,
    make_grid,
    make_process,
    random_grid,
    uniform_grid,
)

DOUBLE = torch.float64


@pytest.mark.parametrize("process", [Brownian(3.0), OrnsteinUhlenbeck(3.0)], ids=["brownian", "ornstein-uhlenbeck"])
@pytest.mark.parametrize("grid", [uniform_grid(7), geometric_grid(7)], ids=["uniform", "geometric"])
def test_both_directions_are_one_process(process, grid):
    """Marginal times forward kernel is marginal times backward kernel, at any pair of states: detailed balance."""
    steps = process.on(grid.double())
    states = torch.randn(8, 5, 2, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    for k in range(1, steps.count):
        x, y = states[k], states[k + 1]
        forward = log_normal(y, steps.forward_scale[k] * x, steps.forward_variance[k])
        backward = log_normal(x, steps.backward_scale[k] * y, steps.backward_variance[k])
        before = log_normal(x, 0.0, steps.marginal_variance[k])
        after = log_normal(y, 0.0, steps.marginal_variance[k + 1])
        torch.testing.assert_close(before + forward, after + backward)


def test_the_discretised_process_approaches_the_exact_one():
    """With many steps Euler's kernels of the noising process are those of the exact one, to first order."""
    differences = []
    for count in (100, 200):
        exact, euler = (kind(2.0).on(uniform_grid(count).double()) for kind in (OrnsteinUhlenbeck, VariancePreserving))
        differences.append(float((exact.backward_scale - euler.backward_scale).abs().max()))
        torch.testing.assert_close(exact.backward_variance, euler.backward_variance, rtol=0.15, atol=0)
    assert differences[1] == pytest.approx(differences[0] / 4, rel=0.1)
    # The target is forgotten by the start: less than a hundredth of its variance is left.
    assert exact.backward_scale.prod() ** 2 < 0.01


def test_brownian_bridges_end_at_zero():
    """The published kernels on equal steps: mean x k / (k + 1), variance sigma^2 dt k / (k + 1)."""
    steps = Brownian(5.0).on(uniform_grid(10).double())
    k = torch.arange(10, dtype=DOUBLE)
    torch.testing.assert_close(steps.backward_scale, k / (k + 1), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(steps.backward_variance, 5.0 / 10 * k / (k + 1), atol=1e-6, rtol=1e-6)
    assert steps.starts_at_zero
    assert not steps.start(3, 2).any()


def test_grids():
    """Grids begin at 0, end at 1 and rise; geometric steps take equal shares of what is left; random ones stay near."""
    for name in ("uniform", "geometric"):
        grid = make_grid(name, 12)
        assert (grid[0], grid[-1]) == (0, 1)
        assert (grid.diff() > 0).all()
        for seed in range(20):
            coarse = random_grid(grid, 5, torch.Generator().manual_seed(seed))
            assert len(coarse) == 6
            assert (coarse[0], coarse[-1]) == (0, 1)
            assert (coarse.diff() > 0).all()
    left = 1.01 - geometric_grid(12).double()
    ratios = left[1:] / left[:-1]
    torch.testing.assert_close(ratios, ratios[:1].expand(12), rtol=1e-4, atol=0)
    # On average a random grid is the regular one.
    many = torch.stack([random_grid(uniform_grid(10), 5, torch.Generator().manual_seed(s)) for s in range(400)])
    torch.testing.assert_close(many.mean(dim=0), uniform_grid(5), atol=0.02, rtol=0)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: make_process("brown", 1.0), "choose one of: brownian"),
        (lambda: Brownian(-1.0), "a positive number"),
        (lambda: make_grid("log", 3), "choose one of: uniform"),
        (lambda: uniform_grid(0), "1 or more"),
        (lambda: VariancePreserving(1.0).on(uniform_grid(3)), "too few"),
    ],
)
def test_bad_processes_are_refused(call, told):
    """Unknown names, variances and numbers of steps that cannot be."""
    with pytest.raises(InputError, match=told):
        call()
