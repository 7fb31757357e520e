"""Discrete GFlowNets: samplers of objects that are put together step by step, in proportion to a reward.

An environment (`environment`; `tabular`, `hypergrid`, `sets`, `bits`, `fragments`) is a graph of states. Walks on it
(`walks`) are made without a graph of derivatives, scored by a policy (`policies`) in one pass, and learned from by an
objective (`objectives`, `training`). `exact` knows everything of graphs that are written down, `sampling` draws.
"""

from helicell.core.samplers.discrete.bits import BitSequences, block_modes
from helicell.core.samplers.discrete.environment import Environment
from helicell.core.samplers.discrete.fragments import FragmentTrees, Grammar
from helicell.core.samplers.discrete.hypergrid import HyperGrid
from helicell.core.samplers.discrete.objectives import OBJECTIVES
from helicell.core.samplers.discrete.policies import NetworkPolicy, Policy, TablePolicy
from helicell.core.samplers.discrete.sampling import DiscreteSamples, draw
from helicell.core.samplers.discrete.set_tasks import SET_TASKS, set_task
from helicell.core.samplers.discrete.sets import AdditiveSets, SetEnvironment
from helicell.core.samplers.discrete.settings import DiscreteSettings
from helicell.core.samplers.discrete.tabular import TabularEnvironment, tabulate
from helicell.core.samplers.discrete.training import DiscreteTrainer, train

__all__ = [
    "OBJECTIVES",
    "SET_TASKS",
    "AdditiveSets",
    "BitSequences",
    "DiscreteSamples",
    "DiscreteSettings",
    "DiscreteTrainer",
    "Environment",
    "FragmentTrees",
    "Grammar",
    "HyperGrid",
    "NetworkPolicy",
    "Policy",
    "SetEnvironment",
    "TablePolicy",
    "TabularEnvironment",
    "block_modes",
    "draw",
    "set_task",
    "tabulate",
    "train",
]
