"""Turn the model of a training run into the embedded one: measure its samples, complete its card, write both.

    python benchmarks/release_protein.py RUN/model.safetensors

The card lies inside the .safetensors file and, for people, beside it as `compact.md`.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench_protein import COUNT, LENGTHS, SEED, STEPS, quality
from harness import describe_machine
from helicell.protein.model import EMBEDDED, WEIGHTS, load_model, save_model
from helicell.protein.settings import SamplingDefaults

# Chosen on samples of other seeds than the one measured; see docs/explanation/backbone-flow.md for what they do.
SAMPLING = SamplingDefaults(steps=50, rotation_exponent=1.0, rotation_speed=2.5, finer_at_data=1.3, steric_sweeps=2)


def card_text(
    card: Mapping[str, Any], *, name: str = EMBEDDED, parts: Sequence[str] = ("data", "training", "sampling", "network")
) -> str:
    """Return the card of the model `name` for people, with these parts as they are."""
    measured, natural = card["samples"]["means"], card["samples"]["natural"]
    lines = [
        f"# Model card: {name}",
        "",
        f"{card['title']}. Licence: {card['licence']}.",
        "",
        "| measure | samples | natural chains |",
        "| --- | --- | --- |",
        *(f"| {key} | {value:.3f} | {_number(natural.get(key))} |" for key, value in measured.items()),
        "",
        f"{card['samples']['how']} Validation losses after step {card['validation'].get('step')}: "
        + ", ".join(f"{k} {v:.4f}" for k, v in card["validation"].items() if k != "step")
        + ".",
        "",
        *(f"- {part}: {card[part]}" for part in ("history", "limits") if part in card),
        "",
        "```json",
        json.dumps({part: card[part] for part in parts}, indent=1),
        "```",
        "",
    ]
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def main() -> None:
    """Measure, complete the card, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, help="model.safetensors of a training run")
    parser.add_argument("--history", help="how the run came about, where the settings do not tell")
    arguments = parser.parse_args()
    target = WEIGHTS / f"{EMBEDDED}.safetensors"
    model = load_model(arguments.model, device="cpu")
    card = dict(model.card)
    if arguments.history:
        card["history"] = arguments.history
    card["limits"] = (
        "Trained on single globular chains of 40 to 128 residues; longer backbones are out of its range. "
        "No side chains, no sequence, no ligands. Not for medical use."
    )
    # Measured on the weights as they are stored, in half precision.
    save_model(target, model.network, sampling=SAMPLING, card=card)
    means, natural = quality(steric_sweeps=None)
    machine = describe_machine()
    card["samples"] = {
        "how": f"{COUNT} backbones of each length {LENGTHS}, {STEPS} steps, seed {SEED}, none left out, "
        f"on {machine['processor']}.",
        "means": dict(means),
        "natural": dict(natural),
    }
    save_model(target, model.network, sampling=SAMPLING, card=card)
    target.with_suffix(".md").write_text(card_text(load_model(target, device="cpu").card), encoding="utf-8")
    print(f"written to {target}")


if __name__ == "__main__":
    main()
