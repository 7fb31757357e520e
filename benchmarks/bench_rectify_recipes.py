"""Which recipe of rectification to choose: teachers' schedules, densities of times, losses, discretisations, walks.

Every recipe trains for some steps on the same pairs, sampled once as the recipe of the embedded model says and kept in
`benchmarks/runs/rectify_recipes`, and is judged by unpicked samples of ten and of five steps. All seeds are others than
those of `bench_protein.py` and `bench_rectified.py`. So few steps and samples tell recipes apart in part only: figures
within 0.02, or 0.1 for shares of samples, are alike.
"""

import argparse
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness import ROOT, Row, write_results
from helicell.protein import SamplingOptions, generate, load_model
from helicell.protein.adapters.proteinmpnn import SequenceDesigner
from helicell.protein.evaluation import evaluate
from helicell.protein.model import EMBEDDED, BackboneModel
from helicell.protein.rectification import RECIPE, RectificationSettings
from helicell.protein.rectification.pairs import FramePairs
from helicell.protein.rectification.rectifying import check_model, train_on_pairs
from helicell.protein.rectification.sampling import fitting, sample_pairs
from helicell.protein.structures import Chain

FOLDER = ROOT / "benchmarks" / "runs" / "rectify_recipes"
PAIRS = 640
LENGTHS, COUNT, SEED = (60, 80, 100, 120), 4, 11
MEASURES = ("c_n_valid", "clash_free", "backbone_clash_free", "helix", "strand", "rg_ratio_to_natural", "pairwise_tm")
TEACHERS = [(1.0, 2.5), (1.0, 4.0), (0.6, 2.5), (0.6, 4.0)]
PLAIN = {"times": "uniform", "huber": None}
RECIPES: dict[str, dict[str, Any]] = {
    "uniform times, squared": PLAIN,
    "early times, squared": {**PLAIN, "times": "early"},
    "late times, squared": {**PLAIN, "times": "late"},
    "U-shaped times, squared": {**PLAIN, "times": "u-shaped"},
    "U-shaped times, pseudo-Huber": {},
    "U-shaped times, pseudo-Huber, no structural losses": {"weights": {"local": 0.0, "fold": 0.0, "clash": 0.0}},
}
CHOSEN = "U-shaped times, pseudo-Huber"
WALKS: dict[str, dict[str, Any]] = {
    "from the last state": {"from_noise": False},
    "equal steps": {"finer_at_data": 1.0},
    "finer near the noise": {"finer_at_data": 0.7},
}


def measure(model: BackboneModel, options: SamplingOptions, *, designer: SequenceDesigner | None = None) -> Any:
    """Return the means of the measures of unpicked samples, and their ProteinMPNN score."""
    backbones = generate(model, LENGTHS, count=COUNT, seed=SEED, options=options)
    means = evaluate(
        [Chain(f"{b.index}", b.coordinates, "G" * b.length, "C" * b.length) for b in backbones]
    ).overall.means
    figures = {name: means[name] for name in MEASURES}
    if designer is not None:
        designs = designer.design([b.coordinates for b in backbones], count=4, temperature=0.1, seed=SEED)
        figures["ProteinMPNN score"] = float(np.mean([design.score for own in designs for design in own]))
    return figures


def rows_of(label: str, figures: Mapping[str, float]) -> list[Row]:
    """Return a row for each figure."""
    return [Row(f"{name}, {label}", value) for name, value in figures.items()]


def teacher_rows(model: BackboneModel) -> list[Row]:
    """Measure the base model, which makes the pairs, with different noise and pace of the rotations."""
    designer = SequenceDesigner(device="cpu")
    rows = []
    for noise, speed in TEACHERS:
        options = SamplingOptions(steps=50, noise_scale=noise, rotation_speed=speed, precision="bfloat16")
        label = f"teacher, 50 steps, noise scale {noise}, rotation speed {speed}"
        rows += rows_of(label, measure(model, options, designer=designer))
    return rows


def student(pairs: FramePairs, base: BackboneModel, settings: RectificationSettings) -> BackboneModel:
    """Train one recipe."""
    with tempfile.TemporaryDirectory() as folder:
        network = train_on_pairs(
            check_model(base), pairs, settings, folder=Path(folder), progress=False, accelerator="cpu"
        )
    network = network.eval().requires_grad_(requires_grad=False)
    return BackboneModel(network, settings.sampling, {}, "student", "")


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=60, help="optimiser steps of each recipe")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = RectificationSettings.from_yaml(RECIPE).to_mapping()
    recipe["pairs"]["count"] = PAIRS
    recipe["optimiser"] |= {"steps": arguments.steps, "warm_up": 30, "learning_rate": 3e-4, "average_decay": 0.99}
    base = load_model(EMBEDDED, device="cpu")
    settings = RectificationSettings.from_mapping(recipe)
    pairs, measures = sample_pairs(base, settings.pairs, FOLDER)
    chosen = pairs.select(fitting(measures, settings.pairs))
    rows = [Row("pairs kept of those sampled", len(chosen) / len(pairs)), *teacher_rows(base)]
    before = {steps: SamplingOptions(steps=steps, noise_scale=0.6, precision="bfloat16") for steps in (10, 5)}
    for steps, options in before.items():
        rows += rows_of(f"no training, {steps} steps", measure(base, options))
    for name, changed in RECIPES.items():
        objective = {**recipe["objective"], **changed}
        own = RectificationSettings.from_mapping({**recipe, "objective": objective})
        model = student(chosen, base, own)
        walks = {"": {}} | ({f", {walk}": options for walk, options in WALKS.items()} if name == CHOSEN else {})
        for walk, changes in walks.items():
            for steps in (10, 5):
                options = SamplingOptions(steps=steps, precision="bfloat16", **changes)
                rows += rows_of(f"{name}{walk}, {steps} steps", measure(model, options))
    shown = {"pairs": PAIRS, "steps": arguments.steps, "lengths": LENGTHS, "count": COUNT, "seed": SEED}
    write_results("rectify_recipes", rows, {**shown, "recipe": recipe})


if __name__ == "__main__":
    main()
