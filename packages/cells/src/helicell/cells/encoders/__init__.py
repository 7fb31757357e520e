"""Encoders: a control population becomes a vector. One kind a module; all are called with a `ReferenceBatch`.

| kind | looks at |
| --- | --- |
| `moments` | means, deviations, correlations and random features of all cells |
| `deep_sets` | every cell by itself, then their mean, deviation and maximum |
| `attention` | the cells through learned queries |
| `graph` | every cell with its nearest neighbours (torch_geometric) |
| `index` | only which training population it is: the baseline CGFM |
| `none` | nothing: plain flow matching |

No kind depends on the order of the cells, or on the other populations of the batch.
"""

from __future__ import annotations

from torch import nn

from helicell.cells.references import Moments
from helicell.cells.settings import EncoderSettings

NEEDS_GRAPH = ("graph",)
# Kinds that must not learn anything of the population by other ways either.
BLIND = ("index", "none")


def build_encoder(settings: EncoderSettings, *, features: int, moments: Moments, populations: int) -> nn.Module:
    """Return the encoder of these settings; its attribute `channels` is the length of its vectors.

    Parameters
    ----------
    settings
        Which kind and size.
    features
        Of a cell.
    moments
        How moments are taken, which fixes how many there are.
    populations
        Number of training populations.
    """
    from helicell.cells.encoders import baselines
    from helicell.cells.encoders.attention import AttentionEncoder
    from helicell.cells.encoders.deep_sets import DeepSetsEncoder
    from helicell.cells.encoders.moments import MomentsEncoder

    match settings.kind:
        case "moments":
            return MomentsEncoder(moments.count, settings)
        case "deep_sets":
            return DeepSetsEncoder(features, settings)
        case "attention":
            return AttentionEncoder(features, settings)
        case "graph":
            from helicell.cells.encoders.graph import GraphEncoder

            return GraphEncoder(features, settings)
        case "index":
            return baselines.IndexEncoder(populations, settings)
    return baselines.NoEncoder()
