"""Graphs of neighbours: against all distances, and the sparse mean against a dense one."""

import pytest
import torch

from helicell.cells.graphs import NeighbourMean, neighbour_edges
from helicell.core.errors import InputError


@pytest.mark.parametrize("features", [2, 12])
def test_neighbours_are_the_nearest(features):
    """By tree or by table, each cell's edges come from the cells at the smallest distances, itself left out."""
    points = torch.randn(60, features, generator=torch.Generator().manual_seed(0))
    distances = torch.cdist(points, points).fill_diagonal_(torch.inf)
    source, target = neighbour_edges(points, 5)
    for cell in range(60):
        expected = distances[cell].topk(5, largest=False).indices
        assert set(source[target == cell].tolist()) == set(expected.tolist())


def test_equal_cells_have_no_loops():
    """Where many cells are equal, none is its own neighbour and each has as many as asked for."""
    source, target = neighbour_edges(torch.zeros(10, 2), 3)
    assert (source != target).all()
    assert torch.equal(torch.bincount(target), torch.full((10,), 3))


def test_small_populations_have_fewer_neighbours():
    """Three cells have two neighbours each, one has none."""
    assert neighbour_edges(torch.randn(3, 2), 20).shape == (2, 6)
    assert neighbour_edges(torch.randn(1, 2), 20).shape == (2, 0)


def test_numbers_that_are_not_finite_are_refused():
    """A missing number is named as such."""
    with pytest.raises(InputError, match="not finite"):
        neighbour_edges(torch.full((4, 2), torch.nan), 2)


def test_the_mean_and_its_gradient_are_those_of_the_dense_matrix():
    """Two graphs of different sizes, joined with padding, against the matrix written out."""
    generator = torch.Generator().manual_seed(1)
    graphs, blocks = [], torch.zeros(24, 24)
    for number, count in enumerate((12, 9)):
        edges = neighbour_edges(torch.randn(count, 2, generator=generator), 4)
        graphs.append(NeighbourMean.of(edges, cells=count))
        blocks[12 * number + edges[1], 12 * number + edges[0]] = 0.25
    x = torch.randn(24, 3, generator=generator, requires_grad=True)
    joined = NeighbourMean.joined(graphs, stride=12)
    weights = torch.randn(24, 3, generator=generator)
    torch.testing.assert_close(joined(x), blocks @ x)
    (joined(x) * weights).sum().backward()
    torch.testing.assert_close(x.grad, blocks.T @ weights)
