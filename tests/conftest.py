"""What all tests share: one thread a test process, real data where it is at hand, and the command line in process."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# The machine's cores are better used by two test processes than by one with two threads; set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("MPLBACKEND", "agg")

import pytest
from jaxtyping import install_import_hook

# Where tensors have shapes; checked at every call, see typechecking.py. Set before these modules are imported.
CHECKED = (
    "helicell.cells.baselines",
    "helicell.cells.batches",
    "helicell.cells.calibration",
    "helicell.cells.conditions",
    "helicell.cells.encoders",
    "helicell.cells.evaluation",
    "helicell.cells.fields",
    "helicell.cells.graphs",
    "helicell.cells.neighbourhoods",
    "helicell.cells.network",
    "helicell.cells.references",
    "helicell.cells.responses",
    "helicell.cells.shifts",
    "helicell.cells.simulate.mixtures",
    "helicell.cells.timecourse.bridges",
    "helicell.cells.timecourse.clock",
    "helicell.cells.timecourse.flow",
    "helicell.cells.timecourse.network",
    "helicell.cells.timecourse.paths",
    "helicell.cells.ways",
    "helicell.core.dynamics",
    "helicell.core.paths",
    "helicell.core.samplers.coordinates",
    "helicell.core.samplers.discrete.bits",
    "helicell.core.samplers.discrete.environment",
    "helicell.core.samplers.discrete.exact",
    "helicell.core.samplers.discrete.flow_start",
    "helicell.core.samplers.discrete.fragments",
    "helicell.core.samplers.discrete.hypergrid",
    "helicell.core.samplers.discrete.objectives",
    "helicell.core.samplers.discrete.policies",
    "helicell.core.samplers.discrete.sampling",
    "helicell.core.samplers.discrete.sets",
    "helicell.core.samplers.discrete.tabular",
    "helicell.core.samplers.discrete.training",
    "helicell.core.samplers.discrete.walks",
    "helicell.core.samplers.energies",
    "helicell.core.samplers.local_search",
    "helicell.core.samplers.networks",
    "helicell.core.samplers.objectives",
    "helicell.core.samplers.paths",
    "helicell.core.samplers.policies",
    "helicell.core.samplers.process",
    "helicell.core.samplers.replay",
    "helicell.core.samplers.sampler",
    "helicell.core.spaces",
    "helicell.protein.conditioning",
    "helicell.protein.conformers.energy",
    "helicell.protein.conformers.kinematics",
    "helicell.protein.conformers.maps",
    "helicell.protein.conformers.plots",
    "helicell.protein.conformers.references",
    "helicell.protein.evaluation",
    "helicell.protein.flow",
    "helicell.protein.frames",
    "helicell.protein.losses",
    "helicell.protein.networks",
    "helicell.protein.peptides",
    "helicell.protein.published",
    "helicell.protein.rectification",
    "helicell.protein.sterics",
)
install_import_hook(CHECKED, "typechecking.check")

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="session")
def root() -> Path:
    """Return the root of the repository."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data that tests read, or skip the test where there is none."""
    return _folder("HELICELL_DATA", "data")


@pytest.fixture(scope="session")
def fixtures_dir() -> Path:
    """Return the folder of outputs of other programs that tests compare with, or skip the test."""
    return _folder("HELICELL_FIXTURES", "fixtures")


@pytest.fixture
def run_cli(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """Return a function that runs `helicell` with the given arguments in this process."""
    from helicell.core.cli import main

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Result(code=code, out=printed.out, err=printed.err)

    return run


def _folder(variable: str, name: str) -> Path:
    folder = Path(os.environ.get(variable, ROOT.parent / "shared" / name))
    if not folder.is_dir():
        pytest.skip(f"no folder {folder}; set {variable} to one")
    return folder
