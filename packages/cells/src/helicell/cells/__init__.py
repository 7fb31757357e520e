"""Populations of cells: how a treatment changes them, predicted from the untreated population itself."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.cells.baselines import fit_baselines
    from helicell.cells.columns import Columns
    from helicell.cells.evaluation import Evaluation, evaluate_responses
    from helicell.cells.flow import PopulationFlow
    from helicell.cells.populations import Populations, read_populations
    from helicell.cells.preprocessing import Preprocessing, PreprocessingSettings
    from helicell.cells.responses import PopulationKey, Response
    from helicell.cells.screens import propose_sets
    from helicell.cells.settings import PopulationFlowSettings
    from helicell.cells.splits import parse_holdout, split
    from helicell.cells.timecourse import TimeCourseFlow

# Public names and where they live; imported on first use, because torch and scanpy are slow to start.
_PUBLIC = {
    "Columns": "columns",
    "Evaluation": "evaluation",
    "PopulationFlow": "flow",
    "PopulationFlowSettings": "settings",
    "PopulationKey": "responses",
    "Populations": "populations",
    "Preprocessing": "preprocessing",
    "PreprocessingSettings": "preprocessing",
    "Response": "responses",
    "TimeCourseFlow": "timecourse",
    "evaluate_responses": "evaluation",
    "fit_baselines": "baselines",
    "parse_holdout": "splits",
    "propose_sets": "screens",
    "read_populations": "populations",
    "split": "splits",
}

__all__ = [
    "Columns",
    "Evaluation",
    "PopulationFlow",
    "PopulationFlowSettings",
    "PopulationKey",
    "Populations",
    "Preprocessing",
    "PreprocessingSettings",
    "Response",
    "TimeCourseFlow",
    "evaluate_responses",
    "fit_baselines",
    "parse_holdout",
    "propose_sets",
    "read_populations",
    "split",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
