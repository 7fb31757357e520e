"""What surrounds a cell in its control population, through kernels of several widths.

For a kernel of bandwidth h around x, over the control cells y of weight w(y) proportional to exp(-|x - y|^2 / 2 h^2):
the shift (mean of y - x) / h, and the logarithm of the mean kernel. The shift is h times the gradient of that
logarithm, so this is the score of the blurred population: what removes noise (Tweedie), what finds cores and edges,
for any shape of population, also one that no training population had.

Comaniciu and Meer, Mean shift, IEEE TPAMI 24 (2002) 603-619.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

# Pairs of cells that are looked at together.
PAIRS = 1 << 21
# Each kernel is narrower than the last by this factor, so that its weights are the squares of the last one's.
STEP = 2**0.5


class Neighbourhood(nn.Module):
    """Shifts and densities around points.

    Parameters
    ----------
    features
        Of a cell.
    bandwidths
        How many kernels.
    widest
        The largest bandwidth.
    """

    def __init__(self, features: int, *, bandwidths: int, widest: float) -> None:
        super().__init__()
        self.bandwidths: Tensor
        self.register_buffer("bandwidths", widest / STEP ** torch.arange(bandwidths))
        self.channels = bandwidths * (features + 1)

    @torch.no_grad()
    def forward(
        self,
        x: Float[Tensor, "populations points features"],
        cells: Float[Tensor, "populations cells features"],
        mask: Bool[Tensor, "populations cells"],
    ) -> Float[Tensor, "populations points channels"]:
        """Return shifts and logarithms of densities around the points `x`, without gradients."""
        rows = max(1, PAIRS // max(1, cells.shape[0] * cells.shape[1]))
        with torch.autocast(x.device.type, enabled=False):  # differences of squares need all digits
            return torch.cat([self._around(chunk, cells, mask) for chunk in x.split(rows, dim=1)], dim=1)

    def _around(self, x: Tensor, cells: Tensor, mask: Tensor) -> Tensor:
        # exp(-|x - y|^2 / 2 h^2) by one product: |x|^2 cancels in every ratio and is added to the logarithm below.
        widest = self.bandwidths[0]
        squares = (cells * cells).sum(dim=2, keepdim=True).mT.masked_fill(~mask[:, None], torch.inf)
        exponents = torch.baddbmm(squares, x, cells.mT, alpha=-2).mul_(-0.5 / widest**2)
        nearest = exponents.amax(dim=2, keepdim=True)
        weights = exponents.sub_(nearest).exp_()
        nearest = nearest - (x * x).sum(dim=2, keepdim=True) * (0.5 / widest**2)
        points = torch.cat((cells, torch.ones_like(cells[..., :1])), dim=2)
        log_count = mask.sum(dim=1).log()[:, None, None]
        parts = []
        for number, bandwidth in enumerate(self.bandwidths):
            if number:
                weights = weights.square_()
            sums = weights @ points
            total = sums[..., -1:]
            parts += [(sums[..., :-1] / total - x) / bandwidth, total.log() + nearest * 2**number - log_count]
        return torch.cat(parts, dim=2)
