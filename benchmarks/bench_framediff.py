"""The published SE(3) network at full size: processor time and memory of a call on one thread, and how exact it is.

Weights are random, with the layers that training starts at zero drawn too, so that every part has something to do.
Times are processor seconds, the least of several calls, since other work on the machine only ever adds; each length
and batch has a process of its own. The goals stand beside what the published code takes on a machine of this kind:
0.34, 1.31 and 6.9 s at 64, 128 and 256 residues. Exactness is the greatest difference of a position from double
precision; where the published outputs are at hand (`HELICELL_FIXTURES`), also from those.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from harness import ROOT, Row, peak_memory, write_results
from helicell.core.training.archives import TorchArchive
from helicell.protein.flow import noise_frames
from helicell.protein.frames import Frames
from helicell.protein.networks.compact import FramesBatch
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.configuration import OMEGACONF_NAMES, Configuration
from helicell.protein.published.conversion import weight_records
from helicell.protein.published.settings import FrameDiffSettings

SECONDS = {64: (0.20, 0.16), 128: (0.62, 0.42), 256: (2.4, 1.5)}
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}
ANGSTROM = {"float32": 1e-4, "bfloat16": 5e-2}
BATCH = 4
CALLS = 5
SEED = 0


def random_network() -> FrameDiffNetwork:
    """Return the full network with random weights everywhere."""
    torch.manual_seed(SEED)
    network = FrameDiffNetwork(FrameDiffSettings())
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.02 if parameter.ndim > 1 else 0.01)
    return network.eval().requires_grad_(requires_grad=False)


def noise(length: int, count: int) -> FramesBatch:
    """Return frames of noise, half-way in time."""
    mask = torch.ones(count, length, dtype=torch.bool)
    frames = noise_frames(mask, scale=10.0, generator=torch.Generator().manual_seed(SEED))
    return FramesBatch(frames, mask, torch.arange(length).expand(count, length), torch.full((count, 2), 0.5))


@torch.inference_mode()
def measure(length: int, count: int) -> dict[str, dict[str, float]]:
    """Return seconds a sample, mebibytes above the loaded network and exactness, for each precision, on one thread."""
    torch.set_num_threads(1)
    network, batch = random_network(), noise(length, count)
    network(noise(8, 1), noise(8, 1).frames)
    figures = {}
    before = peak_memory()
    for name, dtype in PRECISIONS.items():
        seconds = []
        for _ in range(CALLS):
            start = time.process_time()
            network(batch, batch.frames, pair_dtype=dtype)
            seconds.append(time.process_time() - start)
        peak = peak_memory()
        figures[name] = {
            "seconds": min(seconds) / count,
            "median": float(np.median(seconds)) / count,
            "mebibytes": peak - before,
        }
    if count == 1:
        for name, angstrom in differences(length).items():
            figures[name]["angstrom"] = angstrom
    return figures


@torch.inference_mode()
def differences(length: int) -> dict[str, float]:
    """Return the greatest difference of a position from double precision, Angstrom, for each precision."""
    network, batch = random_network(), noise(length, 1)
    single = {name: network(batch, batch.frames, pair_dtype=dtype)[-1] for name, dtype in PRECISIONS.items()}
    frames = batch.frames.to(torch.float64)
    double = network.double()(FramesBatch(frames, batch.mask, batch.index, batch.times.double()), frames)[-1]
    moved = {name: (frames.translations - double.translations).norm(dim=-1) for name, frames in single.items()}
    return {name: float(distance.max()) for name, distance in moved.items()}


@torch.inference_mode()
def difference_from_published() -> float | None:
    """Return the greatest difference from the published code's outputs, Angstrom; None where there are none."""
    folder = Path(os.environ.get("HELICELL_FIXTURES", ROOT.parent / "shared" / "fixtures")) / "framediff-small"
    if not folder.is_dir():
        return None
    network = FrameDiffNetwork(Configuration.from_yaml(folder / "config.yaml").network()).eval()
    archive = TorchArchive(folder / "small.ckpt", allowed=OMEGACONF_NAMES)
    network.load_state_dict(archive.tensors(weight_records(archive)))
    with np.load(folder / "forward.npz") as outputs:
        arrays = {name: torch.from_numpy(outputs[name]) for name in outputs.files}
    worst = 0.0
    for case in ("a", "b"):
        given = {name.removeprefix(f"{case}_in_"): value for name, value in arrays.items()}
        frames = Frames(given["trans_t"], given["rotquats_t"])
        times = torch.cat((given["r3_t"], given["so3_t"]), dim=1)
        batch = FramesBatch(frames, given["res_mask"].bool(), given["res_idx"].long(), times)
        known = Frames(given["trans_sc"], given["rotquats_t"])
        predicted = network(batch, known, diffused=given["diffuse_mask"].bool())[-1]
        worst = max(worst, float((predicted.translations - arrays[f"{case}_out_pred_trans"]).abs().max()))
    return worst


def published_rows(lengths: tuple[int, ...] = tuple(SECONDS)) -> list[Row]:
    """Measure each length alone and in a batch, in fresh processes of one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    rows = []
    for length in lengths:
        figures = {}
        for count in (1, BATCH):
            command = [sys.executable, __file__, "--measure", str(length), str(count)]
            done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
            figures[count] = json.loads(done.stdout)
        for name, goal in zip(PRECISIONS, SECONDS[length], strict=True):
            alone, batch = figures[1][name], figures[BATCH][name]
            what = f"published network, {length} residues, {name}"
            rows.append(Row.at_most(f"{what}: a call", alone["seconds"], goal, unit="CPU s"))
            rows.append(Row(f"{what}: a call, median", alone["median"], "CPU s"))
            ratio = batch["seconds"] / alone["seconds"]
            # Two equal times still differ by some percent on a busy machine.
            rows.append(Row.at_most(f"{what}: a sample of {BATCH} over one alone", ratio, 1.05))
            rows.append(Row(f"{what}: memory over the network", alone["mebibytes"], "MiB"))
            rows.append(Row(f"{what}: memory over the network, {BATCH} together", batch["mebibytes"], "MiB"))
            rows.append(Row.at_most(f"{what}: off double precision", alone["angstrom"], ANGSTROM[name], unit="A"))
    published = difference_from_published()
    if published is not None:
        rows.append(Row.at_most("small published network: off the published code", published, 1e-4, unit="A"))
    return rows


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--measure", nargs=2, type=int, metavar=("LENGTH", "COUNT"), help="only print this, as JSON")
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*arguments.measure)))
        return
    settings = {"seed": SEED, "calls": CALLS, "batch": BATCH, "threads": 1, **FrameDiffSettings().to_mapping()}
    write_results("framediff", published_rows(), settings)


if __name__ == "__main__":
    main()
