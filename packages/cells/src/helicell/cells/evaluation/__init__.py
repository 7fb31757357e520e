"""How well responses are predicted: measures, the floor beneath them, and intervals over populations.

`evaluating` puts them together; the baselines that every prediction is held against are in `helicell.cells.baselines`.
"""

from helicell.cells.evaluation.evaluating import Evaluation, evaluate_responses

__all__ = ["Evaluation", "evaluate_responses"]
