"""What half precision changes for the compact model, and the memory of long backbones.

Per call: the network is asked in both precisions at every state of a float32 trajectory, with the same earlier
prediction, and the CA atoms are compared. Per backbone: the same noise is followed in both, and what comes out is
measured. Long backbones are made in a process of their own, which tells the most memory that it ever held.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from harness import Row, peak_memory, write_results
from helicell.core.dynamics.endpoint import time_grid
from helicell.protein import SamplingOptions, generate, load_model
from helicell.protein.evaluation import evaluate
from helicell.protein.evaluation.self_consistency import agreement
from helicell.protein.flow import backbone_path
from helicell.protein.generation import Backbone, endpoint_predictor
from helicell.protein.model import BackboneModel
from helicell.protein.structures import Chain

CALL_LENGTHS = (64, 128, 256)
CALL_STEPS = 20
SEED = 7
# Backbones of each length that are made in both precisions.
PAIRED_LENGTHS, PAIRED_COUNT, PAIRED_STEPS = (60, 100), 16, 50
SHOWN = ("ca_ca_valid", "c_n_valid", "clash_free", "helix_ca", "strand_ca", "rg_within_20")
LONG_LENGTH, LONG_STEPS, LONG_LIMIT = 1000, 4, 4096
PRECISIONS = ("float32", "bfloat16")
CA = 1


def call_differences(model: BackboneModel, length: int) -> np.ndarray:
    """Return how far each CA atom is predicted from where float32 has it, ``[calls, residues]``, Angstrom."""
    options = SamplingOptions(steps=CALL_STEPS, trajectory=True)
    noisy, predicted = generate(model, length, count=1, seed=SEED, options=options)[0].trajectory
    times = time_grid(CALL_STEPS, finer_at_data=model.sampling.finer_at_data)
    mask, index = torch.ones(1, length, dtype=torch.bool), torch.arange(length)[None]
    path = backbone_path(model.sampling.rotation_exponent)
    networks = [endpoint_predictor(model, mask, index, path, precision=precision) for precision in PRECISIONS]
    differences = []
    with torch.inference_mode():
        for call in range(CALL_STEPS):
            x = (noisy.translations[call][None], noisy.quaternions[call][None])
            before = None
            if call:
                before = (predicted.translations[call - 1][None], predicted.quaternions[call - 1][None])
            exact, near = (network(x, times[call], before)[0][0] for network in networks)
            differences.append(torch.linalg.vector_norm(near.float() - exact, dim=-1))
    return torch.stack(differences).numpy()


def call_rows(model: BackboneModel) -> Iterator[Row]:
    """Tell the differences of single calls for each length."""
    for length in CALL_LENGTHS:
        distances = call_differences(model, length)
        root_mean_square = float(np.sqrt(np.mean(distances**2)))
        yield Row(f"bfloat16 against float32, CA of a call at length {length}, RMS", root_mean_square, "A")
        yield Row(f"bfloat16 against float32, CA of a call at length {length}, largest", float(distances.max()), "A")


def timed(model: BackboneModel, length: int, precision: str) -> tuple[list[Backbone], float]:
    """Return backbones and the CPU seconds that each took."""
    start = time.process_time()
    options = SamplingOptions(steps=PAIRED_STEPS, precision=precision)
    backbones = generate(model, length, count=PAIRED_COUNT, seed=SEED, options=options)
    return backbones, (time.process_time() - start) / PAIRED_COUNT


def sample_rows(model: BackboneModel) -> Iterator[Row]:
    """Tell how whole trajectories differ: how far apart they end, how good they are, and what they cost."""
    made: dict[str, list[Backbone]] = {precision: [] for precision in PRECISIONS}
    for length in PAIRED_LENGTHS:
        seconds = {}
        for precision in PRECISIONS:
            backbones, seconds[precision] = timed(model, length, precision)
            made[precision] += backbones
        ratio = seconds["float32"] / seconds["bfloat16"]
        yield Row(f"bfloat16, CPU seconds of float32 over its own at length {length}", ratio, "x")
    distances = [
        agreement(one.coordinates[:, CA], other.coordinates[:, CA]).rmsd
        for one, other in zip(*made.values(), strict=True)
    ]
    yield Row(f"bfloat16 against float32 after {PAIRED_STEPS} steps, CA RMSD, median", float(np.median(distances)), "A")
    for precision in PRECISIONS:
        chains = [Chain(f"{b.index}", b.coordinates, "G" * b.length, "C" * b.length) for b in made[precision]]
        means = evaluate(chains).overall.means
        for name in SHOWN:
            yield Row(f"{name}, lengths {PAIRED_LENGTHS[0]} and {PAIRED_LENGTHS[1]}, {precision}", means[name])


def measure_long(precision: str) -> dict[str, float]:
    """Make one long backbone; CPU seconds a step, and the most memory that this process ever held."""
    model = load_model(device="cpu")
    start = time.process_time()
    generate(model, LONG_LENGTH, count=1, options=SamplingOptions(steps=LONG_STEPS, precision=precision))
    return {"seconds": (time.process_time() - start) / LONG_STEPS, "mebibytes": peak_memory()}


def long_rows() -> Iterator[Row]:
    """Tell memory and cost of a backbone of a thousand residues, in both precisions."""
    for precision in PRECISIONS:
        command = [sys.executable, __file__, "--long", precision]
        figures = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        measure = f"length {LONG_LENGTH}, {precision}"
        yield Row.at_most(f"peak memory at {measure}", figures["mebibytes"], LONG_LIMIT, unit="MiB")
        yield Row(f"CPU seconds a step at {measure}", figures["seconds"], "s")


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--long", choices=PRECISIONS, help="only make a long backbone, and print figures as JSON")
    arguments = parser.parse_args()
    if arguments.long:
        print(json.dumps(measure_long(arguments.long)))
        return
    model = load_model(device="cpu")
    settings = {
        "model": model.name, "sha256": model.checksum, "seed": SEED, "call_steps": CALL_STEPS, "steps": PAIRED_STEPS,
        "lengths": PAIRED_LENGTHS, "count": PAIRED_COUNT, "long_length": LONG_LENGTH, "long_steps": LONG_STEPS,
        "threads": torch.get_num_threads(),
    }  # fmt: skip
    write_results("precision", [*long_rows(), *call_rows(model), *sample_rows(model)], settings)


if __name__ == "__main__":
    main()
