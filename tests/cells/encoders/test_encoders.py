"""Encoders: what a population's vector may depend on, and what not."""

import pytest
import torch
from torch_geometric.nn import SAGEConv

from helicell.cells.encoders import build_encoder
from helicell.cells.encoders.graph import NeighbourLayer
from helicell.cells.graphs import NeighbourMean, neighbour_edges
from helicell.cells.references import Moments, ReferenceBatch, make_reference
from helicell.cells.settings import EncoderSettings

KINDS = ("moments", "deep_sets", "attention", "graph")


def population(cells, seed=0):
    """Return cells of a skewed population in three dimensions."""
    x = torch.randn(cells, 3, generator=torch.Generator().manual_seed(seed))
    return x + 0.3 * x[:, :1] ** 2


def encoder_of(kind):
    """Return an encoder and the function that brings populations into its form."""
    torch.manual_seed(0)
    settings = EncoderSettings(kind=kind, width=16, neighbours=4)
    moments = Moments(3, random_features=12, spread=1.0, generator=torch.Generator().manual_seed(0))
    encoder = build_encoder(settings, features=3, moments=moments, populations=2).eval()

    def reference(cells):
        neighbours = 4 if kind == "graph" else None
        return make_reference(cells, moments, cells=512, neighbours=neighbours, generator=torch.Generator())

    return encoder, reference


@pytest.mark.parametrize("kind", KINDS)
def test_the_order_of_the_cells_does_not_matter(kind):
    """Shuffled cells give the same vector."""
    encoder, reference = encoder_of(kind)
    cells = population(50)
    shuffled = cells[torch.randperm(50, generator=torch.Generator().manual_seed(1))]
    vectors = [encoder(ReferenceBatch.of([reference(x)])) for x in (cells, shuffled)]
    torch.testing.assert_close(*vectors, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_other_populations_of_the_batch_do_not_matter(kind):
    """Alone, or padded beside a larger population, a population has the same vector."""
    encoder, reference = encoder_of(kind)
    small, large = reference(population(30)), reference(population(80, seed=5))
    alone = encoder(ReferenceBatch.of([small]))
    beside = encoder(ReferenceBatch.of([large, small]))[1:]
    torch.testing.assert_close(alone, beside, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_different_populations_differ(kind):
    """A population twice as wide has another vector."""
    encoder, reference = encoder_of(kind)
    batch = ReferenceBatch.of([reference(population(60)), reference(2 * population(60))])
    first, second = encoder(batch)
    assert (first - second).abs().max() > 1e-3


def test_the_index_is_all_that_the_baseline_knows():
    """CGFM gives training populations their own vectors, and every other one the mean of these."""
    settings = EncoderSettings(kind="index", width=4)
    moments = Moments(3, random_features=0, spread=1.0)
    encoder = build_encoder(settings, features=3, moments=moments, populations=2)
    options = {"cells": 9, "neighbours": None, "generator": torch.Generator()}
    batch = ReferenceBatch.of([make_reference(population(9), moments, index=i, **options) for i in (1, -1)])
    known, unknown = encoder(batch)
    assert torch.equal(known, encoder.vectors[1])
    torch.testing.assert_close(unknown, encoder.vectors.mean(dim=0))


def test_the_graph_layer_is_the_one_of_torch_geometric():
    """As a sparse product and edge by edge it computes what SAGEConv does with the same weights."""
    x = population(40)
    edges = neighbour_edges(x, 5)
    layer, peer = NeighbourLayer(3, 6), SAGEConv(3, 6, bias=False)
    peer.lin_l.weight, peer.lin_r.weight = layer.neighbour.weight, layer.own.weight
    expected = peer(x, edges) + layer.own.bias
    torch.testing.assert_close(layer(x, edges), expected)
    torch.testing.assert_close(layer(x, NeighbourMean.of(edges, cells=40)), expected)


def test_moments_are_those_of_the_population():
    """Means, deviations and correlations against torch's own; random features against the characteristic function."""
    moments = Moments(3, random_features=6, spread=1.0, generator=torch.Generator().manual_seed(0))
    cells = population(40_000)
    found = moments(cells)
    torch.testing.assert_close(found[:3], cells.mean(dim=0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found[3:6], cells.std(dim=0, unbiased=False), rtol=1e-4, atol=1e-5)
    waves = 2**0.5 * torch.cos(cells @ moments.frequencies + moments.phases).mean(dim=0)
    torch.testing.assert_close(found[6:12], waves, rtol=1e-4, atol=1e-5)
    correlations = torch.corrcoef(cells.T)[[0, 0, 1], [1, 2, 2]]
    torch.testing.assert_close(found[12:], correlations, rtol=1e-3, atol=1e-4)
