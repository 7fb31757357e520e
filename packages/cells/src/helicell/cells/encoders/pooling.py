"""From vectors of cells to the vector of their population."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def pool(
    cells: Float[Tensor, "populations cells channels"], mask: Bool[Tensor, "populations cells"]
) -> Float[Tensor, "populations three_times_channels"]:
    """Return mean, standard deviation and maximum over the cells that are no padding."""
    weights = mask[..., None].to(cells.dtype)
    count = weights.sum(dim=1)
    mean = (cells * weights).sum(dim=1) / count
    variance = ((cells - mean[:, None]) ** 2 * weights).sum(dim=1) / count
    largest = cells.masked_fill(~mask[..., None], -torch.inf).amax(dim=1)
    # The root has no finite slope at zero, where all cells are alike.
    return torch.cat((mean, (variance + 1e-6).sqrt(), largest), dim=1)
