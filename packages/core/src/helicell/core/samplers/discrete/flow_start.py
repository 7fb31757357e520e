"""A guess of the log flow, which spares the network the way from zero to the size of log Z.

Along a step the log flow changes by the log-probabilities and the potentials, so the detailed balance loss is a
quadratic function of the weights of a linear flow head. Its minimum on the first walks, with a little ridge, is where
the head starts: what the first guess of log Z is to trajectory balance. Solved again every so often, it keeps the level
of the flows right over long walks, along which gradients carry it step by step only.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from helicell.core.samplers.discrete.objectives import balances, walk_flows
from helicell.core.samplers.discrete.policies import NetworkPolicy, WalkScores, seen_states
from helicell.core.samplers.discrete.walks import Walks

# Of the mean square of the inputs of the regression.
RIDGE = 1e-3


@torch.no_grad()
def fit_flow_head(
    policy: NetworkPolicy, walks: Walks, scores: WalkScores, *, objective: str, floor: float | None = None
) -> None:
    """Set the flow head of a network to the minimum of the detailed balance loss over its weights.

    Parameters
    ----------
    policy
        The network.
    walks, scores
        The walks, and what the network says of them.
    objective
        One that learns flows; it decides what is known of them.
    floor
        As in `checked_log_reward`.
    """
    states, rows, seen = seen_states(policy.environment, walks)
    hidden = policy.last_hidden(states).double()
    inputs = torch.cat((hidden, torch.ones_like(hidden[:, :1])), dim=1)[rows] * seen[:, :, None]
    # Where the flow does not depend on the network, at pinned ends, it is the same for an output of 0 and of 1.
    zero, one = (replace(scores, log_flow=torch.full_like(scores.log_flow, value)) for value in (0.0, 1.0))
    known, shifted = (walk_flows(objective, policy.environment, walks, case, floor=floor) for case in (zero, one))
    inputs = inputs * (shifted != known)[:, :, None]
    taken = walks.taken
    changes = inputs.diff(dim=0)[taken]
    targets = -balances(scores, known).double().diff(dim=0)[taken]
    squares = changes.T @ changes
    ridge = RIDGE * squares.diagonal().mean() * torch.eye(len(squares), dtype=squares.dtype, device=squares.device)
    solution = torch.linalg.solve(squares + ridge, changes.T @ targets).to(scores.log_flow.dtype)
    policy.set_flow_head(solution[:-1], solution[-1])
