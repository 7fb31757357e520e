"""The report of predicted populations: one HTML file, predictions beside real cells and baselines throughout.

`build_report` puts together what the evaluation measured and pictures of the cells. Populations in pictures are not
picked: they are evenly spread from the best predicted to the worst. UMAP and principal components are fitted to control
and treated cells alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from helicell.cells import plots
from helicell.cells.embedding import Plane, umap_of
from helicell.cells.evaluation.evaluating import FLOOR, KEY_COLUMNS
from helicell.cells.evaluation.measures import MEASURES
from helicell.cells.responses import PopulationKey
from helicell.core.errors import InputError
from helicell.core.reports.blocks import Block, Cell, Collapsible, Column, Figure, Grid, Note, Table, Tile, Tiles
from helicell.core.reports.figures import figure_svg
from helicell.core.reports.page import Provenance, Report, Section, write_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

    from helicell.cells.evaluation import Evaluation
    from helicell.cells.evaluation.intervals import Interval
    from helicell.cells.flow import PopulationFlow
    from helicell.cells.responses import Response
    from helicell.cells.results import Results

__all__ = ["build_report", "write_cells_report"]

TITLE = "Predicted responses of cell populations"
MODEL = "model"
#: Populations that are drawn one by one.
POPULATIONS = 6
# Cells of each kind that are drawn of a population, and ways of cells.
CLOUD_CELLS, WAYS, WAY_POINTS = 200, 40, 17
# Bars of more populations than this do not fit a figure: as many are drawn, evenly spread from best to worst.
MOST_BARS = 40
# Tiles of distances show the share of the gap from identity to floor that is closed.
TILES = ("w2", "mmd", "energy", "mean_error")
SCORE_TILES = ("correlation", "pearson_delta", "top_overlap", "top_direction")
# The distances that are drawn population by population, and those whose means are drawn.
BARS = ("w2", "mmd")
MEANS = ("w2", "mmd", "energy", "pearson_delta")
# Below this, a number is rounding.
LEAST_SHOWN = 1e-6
NAMES = {MODEL: "model", FLOOR: "floor", **{name: label for name, (_, _, label) in plots.MARKS.items()}}


@dataclass(frozen=True, slots=True)
class _Shown:
    """A population that is drawn: its cells in the model's space, a part of each kind."""

    title: str
    response: Response
    control: NDArray[np.float32]
    treated: NDArray[np.float32]
    predicted: NDArray[np.float32]


def write_cells_report(
    results: Results,
    evaluation: Evaluation,
    path: str | Path,
    *,
    model: PopulationFlow | None = None,
    title: str = TITLE,
    populations: int = POPULATIONS,
) -> Path:
    """Write the report of predicted populations.

    Parameters
    ----------
    results
        Predicted and real cells, from `helicell.cells.results.read_results`.
    evaluation
        What was measured on them.
    path
        The HTML file to write.
    model
        The model that predicted; without it the ways of the cells are not drawn.
    title
        Title of the page.
    populations
        Populations that are drawn one by one.

    Returns
    -------
    Path
        The absolute path of the HTML file.

    Raises
    ------
    InputError
        If the evaluation is of other populations.
    """
    return write_report(build_report(results, evaluation, model=model, title=title, populations=populations), path)


def build_report(
    results: Results,
    evaluation: Evaluation,
    *,
    model: PopulationFlow | None = None,
    title: str = TITLE,
    populations: int = POPULATIONS,
) -> Report:
    """Put together the report of predicted populations; the parameters are those of `write_cells_report`.

    Returns
    -------
    Report
        To be drawn by `helicell.core.reports.render`.
    """
    keys = _evaluated(evaluation)
    responses = {response.key: response for response in results.model_space.held_out}
    missing = [key for key in keys if key not in responses]
    if missing or MODEL not in evaluation.predictors:
        what = f"{missing[0]}, of which there are no predicted cells" if missing else "no model"
        message = f"the metrics are of {what}; evaluate these predictions, or give those that were evaluated"
        raise InputError(message)
    titles = _titles(keys)
    ranked = [keys[place] for place in _ranks(evaluation)]
    shown = [
        _shown(responses[key], results.model_space.predicted[key], titles[key]) for key in _even(ranked, populations)
    ]
    sections = [
        Section(
            "At a glance",
            [_tiles(evaluation), *_verdict(evaluation)],
            lead="A bar is how much of the way from no change to the floor is covered; the mark on it is the shift of "
            "the nearest training population.",
            short="Overview",
        ),
        Section(
            "Cells",
            _cells(shown),
            lead=f"UMAP of control and treated cells; predicted ones are placed among them. {_choice(shown, keys)}",
        ),
        Section("Baselines", _baselines(evaluation, keys, ranked, titles, results), lead=_populations(evaluation)),
        Section("Ways of the cells", _ways(shown, model), short="Ways"),
        Section(
            "Measures",
            [_measures(evaluation), *_differences(evaluation), _all_populations(evaluation, titles)],
            lead="Means over populations and repetitions; of the model with its 95 % interval.",
        ),
    ]
    return Report(title, _subtitle(results, evaluation), sections, _provenance(results, evaluation))


# ------------------------------------------------------------------------------------------------------- populations


def _evaluated(evaluation: Evaluation) -> list[PopulationKey]:
    """The populations of a table, in its order."""
    table = evaluation.table[list(KEY_COLUMNS)].drop_duplicates()
    table = table.astype(object).where(table.notna(), None)
    return [PopulationKey(**{str(name): value for name, value in row.items()}) for row in table.to_dict("records")]


def _titles(keys: Sequence[PopulationKey]) -> dict[PopulationKey, str]:
    """Short names: what all populations have in common is left out, unless nothing else is left."""
    varying = [name for name in KEY_COLUMNS if len({getattr(key, name) for key in keys}) > 1] or ["donor"]
    return {
        key: " / ".join(str(getattr(key, name)) for name in varying if getattr(key, name) is not None) for key in keys
    }


def _ranks(evaluation: Evaluation) -> list[int]:
    """The places of the populations, from the best predicted to the worst: W2 over its floor."""
    measure = "w2" if "w2" in evaluation.measures else evaluation.measures[0]
    model, floor = (np.nanmean(evaluation.values(measure, name), axis=1) for name in (MODEL, FLOOR))
    return np.argsort(model / np.where(floor > 0, floor, 1.0), kind="stable").tolist()


def _even(ranked: Sequence[PopulationKey], count: int) -> list[PopulationKey]:
    """At most so many, evenly spread, the best and the worst among them."""
    if len(ranked) <= count:
        return list(ranked)
    return [ranked[place] for place in np.linspace(0, len(ranked) - 1, count).round().astype(int)]


def _shown(response: Response, predicted: Tensor, title: str) -> _Shown:
    parts = [_thinned(cells.numpy()) for cells in (response.control, response.treated, predicted)]
    return _Shown(title, response, *parts)


def _thinned(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most so many cells as are drawn, evenly in their order."""
    rows = np.linspace(0, len(cells) - 1, min(CLOUD_CELLS, len(cells))).round().astype(int)
    return cells[rows]


def _choice(shown: Sequence[_Shown], keys: Sequence[PopulationKey]) -> str:
    cells = f"At most {CLOUD_CELLS} cells of each kind are drawn."
    if len(shown) == len(keys):
        return f"All {len(keys)} populations, the best predicted first (W₂ over its floor). {cells}"
    return (
        f"{len(shown)} of {len(keys)} populations, not picked: evenly spread from the best predicted (W₂ over its "
        f"floor) to the worst. {cells}"
    )


# ---------------------------------------------------------------------------------------------------------- at a glance


def _closed(interval: float, identity: float, floor: float) -> float | None:
    """How much of the way from identity to floor is covered, at most all and at least nothing."""
    if not identity > floor:
        return None
    return float(np.clip((identity - interval) / (identity - floor), 0, 1))


def _tiles(evaluation: Evaluation) -> Tiles:
    summary, tiles = evaluation.summary(), []
    for measure in TILES:
        values = {name: value for name, value in summary.get(measure, {}).items() if value is not None}
        if not {MODEL, "identity", FLOOR} <= set(values):
            continue
        nearest = values.get("nearest_shift")
        gap = values["identity"], values[FLOOR]
        detail = f"no change {values['identity']:.3g}, floor {values[FLOOR]:.3g}"
        mark = None if nearest is None else _closed(nearest, *gap)
        tiles.append(Tile(MEASURES[measure].label, f"{values[MODEL]:.3g}", detail, _closed(values[MODEL], *gap), mark))
    for measure in SCORE_TILES:
        value, nearest = (summary.get(measure, {}).get(name) for name in (MODEL, "nearest_shift"))
        if value is None:
            continue
        detail = "" if nearest is None else f"nearest shift {nearest:.2f}"
        mark = None if nearest is None else float(np.clip(nearest, 0, 1))
        tiles.append(Tile(MEASURES[measure].label, f"{value:.2f}", detail, float(np.clip(value, 0, 1)), mark))
    return Tiles(tiles)


def _verdict(evaluation: Evaluation) -> list[Block]:
    """In words, what the intervals of the differences allow to say; a warning where a plain shift is as good."""
    said, warned = [], []
    baselines = [name for name in evaluation.predictors if name not in (MODEL, FLOOR, "own_shift")]
    for measure in (name for name in BARS if name in evaluation.measures):
        differences = {name: evaluation.difference(measure, MODEL, name) for name in baselines}
        better = [NAMES.get(name, name) for name, one in differences.items() if one.high < 0]
        worse = [NAMES.get(name, name) for name, one in differences.items() if one.low > 0]
        level = [NAMES.get(name, name) for name in differences if NAMES.get(name, name) not in (*better, *worse)]
        label = MEASURES[measure].label
        if better:
            said.append(f"By {label} the model is better than {_listed(better)}.")
        if level:
            warned.append(f"By {label} the model cannot be told from {_listed(level)}.")
        if worse:
            warned.append(f"By {label} the model is worse than {_listed(worse)}: prefer that.")
    few = evaluation.populations < 5
    if few:
        warned.append(f"{evaluation.populations} populations are too few for intervals that deserve the name.")
    notes: list[Block] = [Note(" ".join(said))] if said else []
    return [*notes, *([Note(" ".join(warned), "warning")] if warned else [])]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _subtitle(results: Results, evaluation: Evaluation) -> str:
    count, cells = evaluation.populations, sum(len(some) for some in results.model_space.predicted.values())
    plural = "s" if count > 1 else ""
    return (
        f"{cells:,} predicted cells of {count} population{plural} that the model has not seen, beside the treated ones"
    )


# -------------------------------------------------------------------------------------------------------------- figures


def _cells(shown: Sequence[_Shown]) -> list[Block]:
    real = [cells for one in shown for cells in (one.control, one.treated)]
    if len(shown[0].control[0]) == 2:
        # Cells of the plane are drawn as they are.
        axis, placed = "Coordinate", [cells for one in shown for cells in (one.control, one.treated, one.predicted)]
        clouds = [plots.Cloud(one.title, *placed[3 * i : 3 * i + 3]) for i, one in enumerate(shown)]
    else:
        axis = "UMAP"
        fitted, others = umap_of(np.concatenate(real), [one.predicted for one in shown])
        parts = np.split(fitted, np.cumsum([len(cells) for cells in real])[:-1])
        clouds = [plots.Cloud(one.title, parts[2 * i], parts[2 * i + 1], others[i]) for i, one in enumerate(shown)]
    return [
        _figure(
            plots.overview(clouds, axis=axis),
            "umap-overview",
            "All together",
            "In colour the cells of one kind; behind them, in grey, all real cells of these populations.",
        ),
        _figure(
            plots.clouds(clouds, axis=axis),
            "umap-populations",
            "Population by population",
            "A good prediction lies on the treated cells, and is as wide as they are.",
        ),
    ]


def _baselines(
    evaluation: Evaluation,
    keys: Sequence[PopulationKey],
    ranked: Sequence[PopulationKey],
    titles: Mapping[PopulationKey, str],
    results: Results,
) -> list[Block]:
    drawn = _even(ranked, MOST_BARS)
    rows = [keys.index(key) for key in drawn]
    blocks: list[Block] = []
    for measure in (name for name in BARS if name in evaluation.measures):
        values = {name: np.nanmean(evaluation.values(measure, name), axis=1)[rows] for name in evaluation.predictors}
        label = MEASURES[measure].label
        figure = plots.populations([titles[key] for key in drawn], values, label=label)
        caption = "From the best predicted population to the worst. Right of its floor is what could be better."
        blocks.append(_figure(figure, f"bars-{measure}", f"{label} by population", caption))
    known = [name for name in MEANS if name in evaluation.measures]
    spreads = [
        plots.Spread(MEASURES[name].label, MEASURES[name].kind == "distance", _intervals(evaluation, name))
        for name in known
    ]
    overall = _figure(plots.means(spreads), "means", "Mean of all populations", "Lines are 95 % intervals.")
    space = results.feature_space or results.model_space
    true, predicted = (
        np.stack([_change(response, cells(response)) for response in space.held_out])
        for cells in (lambda one: one.treated, lambda one: space.predicted[one.key])
    )
    change = _figure(
        plots.changes(true, predicted, label="a feature's mean"),
        "changes",
        "Changes, feature by feature",
        f"A point for each of {true.shape[1]} features of {true.shape[0]} populations; on the diagonal, change was "
        "predicted exactly.",
    )
    return [overall, Grid([*blocks, change])]


def _change(response: Response, cells: Tensor) -> NDArray[np.float64]:
    return (cells.double().mean(dim=0) - response.control.double().mean(dim=0)).numpy()


def _ways(shown: Sequence[_Shown], model: PopulationFlow | None) -> list[Block]:
    if model is None:
        return [Note("The ways of the cells need the model: give it with --model.")]
    plane = Plane.fit(np.concatenate([cells for one in shown for cells in (one.control, one.treated)]))
    paths, clouds = {}, {}
    for one in shown:
        control = one.response.control
        rows = np.linspace(0, len(control) - 1, min(WAYS, len(control))).round().astype(int)
        points = model.trajectory(control[rows], one.response.key, population=control, points=WAY_POINTS)
        paths[one.title] = plane.project(points.numpy())
        clouds[one.title] = plots.Cloud(
            one.title, *(plane.project(cells) for cells in (one.control, one.treated, one.predicted))
        )
    return [
        _figure(
            plots.trajectories(paths, clouds, variances=plane.shares),
            "ways",
            "From control to prediction",
            f"{WAYS} control cells of each population, on the two principal components of the real cells. A line "
            "is the flow of one cell, its end the prediction.",
        )
    ]


def _figure(figure: Drawing, name: str, title: str, caption: str) -> Figure:
    width, height = figure.get_size_inches()
    # Of several rows of panels, or many bars: each as large as in a figure of its own.
    tall = height > (plots.MOST_PAGE_HEIGHT if width > plots.COLUMN else plots.MOST_COLUMN_HEIGHT)
    return Figure(figure_svg(figure, name=name, title=title), title, caption, name, tall=tall)


# --------------------------------------------------------------------------------------------------------------- tables


def _intervals(evaluation: Evaluation, measure: str) -> dict[str, Interval]:
    return {name: evaluation.interval(measure, name) for name in evaluation.predictors}


def _measures(evaluation: Evaluation) -> Table:
    rows: list[Sequence[Cell | str | float | None]] = []
    others = [name for name in evaluation.predictors if name != MODEL]
    for measure in evaluation.measures:
        own = evaluation.interval(measure, MODEL)
        cells = [Cell(_with_interval(own), own.mean) if np.isfinite(own.mean) else None]
        for name in others:
            mean = evaluation.interval(measure, name).mean
            cells.append(Cell(_number(mean), mean, "faint") if np.isfinite(mean) else None)
        rows.append([_label(measure), *cells])
    columns = [Column("Measure"), *(Column(_short(name)) for name in (MODEL, *others))]
    caption = (
        f"{evaluation.populations} populations, at most {evaluation.cells} cells of each. Distances: less is better; "
        "scores: 1 is best. The floor is what two samples of the treated cells differ by."
    )
    return Table(columns, rows, caption)


def _differences(evaluation: Evaluation) -> list[Block]:
    others = [name for name in evaluation.predictors if name != MODEL]
    rows: list[Sequence[Cell | str | float | None]] = []
    for measure in evaluation.measures:
        cells: list[Cell | str | float | None] = [_label(measure)]
        for name in others:
            one = evaluation.difference(measure, MODEL, name)
            sure = one.low > 0 or one.high < 0
            shown = Cell(_with_interval(one, signed=True), one.mean, "" if sure else "faint")
            cells.append(shown if np.isfinite(one.mean) else None)
        rows.append(cells)
    columns = [Column("Model less"), *(Column(_short(name)) for name in others)]
    caption = "Paired by population. Faint where the interval holds zero: the two cannot be told apart."
    return [Collapsible("Differences", [Table(columns, rows, caption)])]


def _all_populations(evaluation: Evaluation, titles: Mapping[PopulationKey, str]) -> Collapsible:
    keys = _evaluated(evaluation)
    shown = [name for name in ("w1", "w2", "mmd", "energy") if name in evaluation.measures]
    compared = [name for name in (MODEL, "identity", "nearest_shift", FLOOR) if name in evaluation.predictors]
    values = {
        (measure, name): np.nanmean(evaluation.values(measure, name), axis=1) for measure in shown for name in compared
    }
    counts = evaluation.table.drop_duplicates(list(KEY_COLUMNS))[["controls", "treated"]].to_numpy().tolist()
    rows: list[Sequence[Cell | str | float | int | None]] = [
        [titles[key], *map(int, counts[place]), *(float(column[place]) for column in values.values())]
        for place, key in enumerate(keys)
    ]
    columns = [
        Column("Population"),
        Column("Controls", "d"),
        Column("Treated", "d"),
        *(Column(f"{MEASURES[measure].label}, {_short(name)}", ".4g") for measure, name in values),
    ]
    return Collapsible(f"All {len(keys)} populations", [Table(columns, rows, sortable=True)])


def _label(measure: str) -> str:
    return MEASURES[measure].label


def _short(name: str) -> str:
    return name.replace("_", " ")


def _with_interval(interval: Interval, *, signed: bool = False) -> str:
    mean, low, high = (_number(value, signed=signed) for value in (interval.mean, interval.low, interval.high))
    return f"{mean} ({low} to {high})"


def _number(value: float, *, signed: bool = False) -> str:
    if abs(value) < LEAST_SHOWN:
        return "0"
    return f"{value:{'+' if signed else ''}.3g}"


def _populations(evaluation: Evaluation) -> str:
    return (
        "What the model has to beat: no change, the mean shift of the training populations, the shift of the nearest "
        "of them. The own shift looks at the answer, and the floor is what two samples of the treated cells differ by: "
        f"on average no prediction is below it. {evaluation.populations} populations."
    )


def _provenance(results: Results, evaluation: Evaluation) -> Provenance:
    facts = {
        name[:1].upper() + name[1:]: _short_checksum(value)
        for name, value in {**evaluation.facts, **results.facts}.items()
    }
    columns = results.provenance.columns
    facts |= {"Columns": ", ".join(f"{name} {value}" for name, value in columns.to_mapping().items() if value)}
    trained = "\n".join(map(str, results.provenance.trained_on)) or "not said"
    texts = {
        "Preprocessing": json.dumps(results.preprocessing.describe(), indent=2),
        "Populations that the model was trained on": trained,
    }
    return Provenance(facts, texts)


def _short_checksum(value: str) -> str:
    whole = len(value) == 64 and not set(value) - set("0123456789abcdef")
    return f"{value[:16]}..." if whole else value
