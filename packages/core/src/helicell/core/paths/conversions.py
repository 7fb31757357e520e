"""Velocity, score, denoiser and both ends: what a network may predict on an interpolant, and how one gives the other.

On x_t = alpha x_0 + beta x_1 + gamma z all of these are averages given x_t: the velocity b = E[x_t'], the denoiser
eta = E[z], the ends E[x_0] and E[x_1], and the score s = -E[z] / gamma. They are tied by

    x_t = alpha E[x_0] + beta E[x_1] - gamma^2 s,      b = alpha' E[x_0] + beta' E[x_1] - gamma gamma' s,

and, where x_0 is Gaussian and independent of x_1, by E[x_0] = -alpha s. So each quantity is a row of coefficients over
the unknowns (E[x_0], E[x_1], s), and a conversion asks for the combination of the rows that are known, x_t and the
prediction, that makes up the row that is wanted. Where there is none, the quantity is not determined: the score of a
deterministic path between two data sets, for example, or the data from the score at t = 1. That is an error, not a
division by a small number.

Albergo, Boffi and Vanden-Eijnden, arXiv 2303.08797, sections 2.2 and 3.1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from helicell.core.errors import InputError, unknown_option
from helicell.core.paths.checks import check_times
from helicell.core.paths.interpolants import Interpolant
from helicell.core.paths.path import PathSample
from helicell.core.spaces.space import expand_points

Kind = Literal["velocity", "score", "denoiser", "x_0", "x_1"]
"""What a network predicts."""

# A row counts as a combination of the known rows when it is one to this relative accuracy, in float64.
TOLERANCE = 1e-7


def convert(
    value: Tensor,
    to: str,
    *,
    given: str,
    path: Interpolant,
    x_t: Tensor,
    t: Tensor,
    also: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Return one quantity at x_t from another.

    Parameters
    ----------
    value
        What is known, shape [batch, ...].
    to, given
        The kinds that are wanted and known: "velocity", "score", "denoiser", "x_0" or "x_1".
    path
        The interpolant.
    x_t, t
        The points, shape [batch, ...], and their times, shape [] or [batch].
    also
        Further known quantities. Between two data sets with noise, two are needed: velocity and score, for example.

    Raises
    ------
    InputError
        For an unknown kind, shapes that do not fit, times outside [0, 1], or when the known quantities do not determine
        the wanted one at one of the times.

    Examples
    --------
    >>> import torch
    >>> from helicell.core.paths.interpolants import one_sided_linear
    >>> x_t, velocity = torch.tensor([[0.5]]), torch.tensor([[1.0]])
    >>> convert(velocity, "x_1", given="velocity", path=one_sided_linear(), x_t=x_t, t=torch.tensor(0.5))
    tensor([[1.]])
    """
    known = {given: value, **(also or {})}
    _check_kinds([to, *known])
    check_times(t, x_t)
    for kind, quantity in known.items():
        if quantity.shape != x_t.shape:
            message = f"the {kind} has the shape {list(quantity.shape)}, expected that of x_t, {list(x_t.shape)}"
            raise InputError(message)
    if to in known:
        return known[to]
    weights = _weights(path, t, known=list(known), to=to)
    terms = (x_t, *known.values())
    return sum(expand_points(w, x_t) * term for w, term in zip(weights, terms, strict=True))  # type: ignore[return-value]


def converted(field: Callable[..., Tensor], to: str, *, given: str, path: Interpolant) -> Callable[..., Tensor]:
    """Return a field of one kind made of a field of another; both are called as field(x_t, t, ...).

    Parameters
    ----------
    field
        A function or network that predicts the kind `given`.
    to, given, path
        As for `convert`.
    """
    _check_kinds([to, given])

    def other(x_t: Tensor, t: Tensor, *arguments: Any, **keywords: Any) -> Tensor:
        return convert(field(x_t, t, *arguments, **keywords), to, given=given, path=path, x_t=x_t, t=t)

    return other


def regression_target(sample: PathSample, kind: str, *, path: Interpolant) -> Tensor:
    """Return what a network of this kind is regressed on: its prediction is the average of this given x_t.

    Raises
    ------
    InputError
        If the path has no such target: score and denoiser need noise, or a Gaussian source.
    """
    simple = {"velocity": sample.dx_t, "x_0": sample.x_0, "x_1": sample.x_1}
    if kind in simple:
        return simple[kind]  # type: ignore[return-value]
    _check_kinds([kind])
    if sample.z is not None:
        if kind == "denoiser":
            return sample.z  # type: ignore[return-value]
        return -sample.z / expand_points(path.gamma.value(sample.t), sample.z)  # type: ignore[arg-type,operator]
    if kind == "score" and path.gaussian_source:
        return -sample.x_0 / expand_points(path.alpha.value(sample.t), sample.x_0)  # type: ignore[arg-type,operator]
    message = f"the path adds no noise z, so it has no {kind}; give it a gamma, or predict velocity, x_0 or x_1"
    raise InputError(message)


def score_share(path: Interpolant, t: Tensor) -> Tensor:
    """Return the derivative of the velocity with respect to the score at fixed x_t, where x_0 is Gaussian.

    A change of the density by a factor exp(h(x)) adds this times the gradient of h to the velocity. On the one-sided
    linear path it is (1 - t) / t.
    """
    return _weights(path, t, known=["score"], to="velocity")[1]


def _weights(path: Interpolant, t: Tensor, *, known: list[str], to: str) -> tuple[Tensor, ...]:
    """Return the weights of x_t and of the known quantities, each of the shape of t, that make up the wanted one."""
    _check_kinds([to, *known])
    times = t.detach().reshape(-1).double()
    if len(times) > 1 and (times == times[0]).all():
        times = times[:1]  # samplers give every point the same time, and one solution serves them all
    rows = _rows(path, times)
    matrix = torch.stack([rows["x_t"], *(rows[kind] for kind in known)], dim=1)
    wanted = rows[to]
    weights = (wanted[:, None] @ torch.linalg.pinv(matrix, rtol=1e-12)).squeeze(1)
    missing = ((weights[:, None] @ matrix).squeeze(1) - wanted).abs().amax(dim=1)
    undetermined = ~(missing <= TOLERANCE * wanted.abs().amax(dim=1).clamp_min(1))
    if undetermined.any():
        when = float(times[undetermined.nonzero()[0, 0]])
        message = (
            f"the {to} does not follow from x_t and {' and '.join(known)} at t = {when:g} on this path; "
            "keep away from the ends, give another quantity as `also`, or train a field for it"
        )
        raise InputError(message)
    return tuple(weights[:, k].expand(t.numel()).reshape(t.shape) for k in range(weights.shape[1]))


def _rows(path: Interpolant, t: Tensor) -> dict[str, Tensor]:
    """Return every quantity as coefficients over (E[x_0], E[x_1], s), shape [times, 3]."""
    a, b, g = (_full(c.value(t), t) for c in (path.alpha, path.beta, path.gamma))
    da, db = (_full(c.derivative(t), t) for c in (path.alpha, path.beta))
    zero, one = torch.zeros_like(t), torch.ones_like(t)
    rows = {
        "x_t": (a, b, -g * g),
        "velocity": (da, db, -_full(path.gamma.product(t), t)),
        "score": (zero, zero, one),
        "denoiser": (zero, zero, -g),
        "x_0": (one, zero, zero),
        "x_1": (zero, one, zero),
    }
    if path.gaussian_source:
        # E[x_0] = -alpha s takes one unknown away; alpha alpha' is finite where alpha' need not be.
        rows["x_t"] = (zero, b, -a * a - g * g)
        rows["velocity"] = (zero, db, -_full(path.alpha.product(t), t) - _full(path.gamma.product(t), t))
        rows["x_0"] = (zero, zero, -a)
    return {name: torch.stack(row, dim=1) for name, row in rows.items()}


def _full(value: Tensor | float, t: Tensor) -> Tensor:
    return value.to(t) if isinstance(value, Tensor) else torch.full_like(t, value)


def _check_kinds(kinds: list[str]) -> None:
    for kind in kinds:
        if kind not in get_args(Kind):
            raise unknown_option("kind of prediction", kind, get_args(Kind))
