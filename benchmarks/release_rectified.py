"""Turn the model of a rectification into the embedded one: measure its samples, complete its card, write both.

    python benchmarks/release_rectified.py RUN/model.safetensors

How it is sampled is taken from the recipe, where it may have been chosen after the training, on samples of other seeds.
"""

import argparse
from pathlib import Path

import torch

from bench_protein import COUNT, LENGTHS, SEED
from harness import describe_machine
from helicell.protein import generate, load_model
from helicell.protein.evaluation import evaluate
from helicell.protein.model import RECTIFIED, WEIGHTS, save_model
from helicell.protein.rectification import RECIPE, RectificationSettings
from helicell.protein.structures import Chain
from release_protein import card_text

PARTS = ("base", "data", "rectification", "pairs", "straightness", "sampling", "network")


def main() -> None:
    """Measure, complete the card, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="model.safetensors of a run of `helicell protein rectify`")
    parser.add_argument("--history", help="how the run came about, where the settings do not tell")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    recipe = RectificationSettings.from_yaml(RECIPE)
    target = WEIGHTS / f"{RECTIFIED}.safetensors"
    model = load_model(arguments.model, device="cpu")
    made, now = ({**settings, "sampling": None} for settings in (model.card["rectification"], recipe.to_mapping()))
    if made != now:
        parser.error(f"the run in {arguments.model.parent} did not follow the recipe in {RECIPE.name}")
    card = {**model.card, "rectification": recipe.to_mapping()}
    if arguments.history:
        card["history"] = arguments.history
    card["limits"] = (
        "Trained on pairs of 50 to 128 residues; longer backbones are out of its range. "
        "No side chains, no sequence, no ligands. Not for medical use."
    )
    # Measured on the weights as they are stored, in half precision.
    save_model(target, model.network, sampling=recipe.sampling, card=card)
    backbones = generate(load_model(RECTIFIED, device="cpu"), LENGTHS, count=COUNT, seed=SEED)
    overall = evaluate([Chain(f"{b.index}", b.coordinates, "G" * b.length, "C" * b.length) for b in backbones]).overall
    card["samples"] = {
        "how": f"{COUNT} backbones of each length {LENGTHS}, {recipe.sampling.steps} steps, seed {SEED}, none left "
        f"out, on {describe_machine()['processor']}.",
        "means": dict(overall.means),
        "natural": dict(overall.natural),
    }
    save_model(target, model.network, sampling=recipe.sampling, card=card)
    text = card_text(load_model(target, device="cpu").card, name=RECTIFIED, parts=PARTS)
    target.with_suffix(".md").write_text(text, encoding="utf-8")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
