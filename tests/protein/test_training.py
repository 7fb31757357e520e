"""Training on real chains: splits that do not leak, and a run that ends in a model that samples."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from helicell.core.errors import InputError
from helicell.protein.chains.store import ChainStore, write_store
from helicell.protein.settings import ChainSettings, TrainingSettings
from helicell.protein.structures import Chain
from helicell.protein.training import RECIPE, select_chains, split_clusters

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*srun.*"),
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*"),
    pytest.mark.filterwarnings("ignore:.*exists and is not empty.*"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers.*"),
]

SETTINGS = """
chains: {lengths: [40, 60]}
network: {width: 16, pair_width: 8, time_width: 8, blocks: 1, heads: 2, head_width: 4, query_points: 2, value_points: 2}
optimiser: {steps: 6, warm_up: 2}
precision: 32-true
"""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> ChainStore:
    """Return a store of the real chains."""
    from helicell.core.cli import main

    folder = tmp_path_factory.mktemp("store") / "chains"
    assert (
        main(["protein", "import", str(data_dir / "proteins" / "backbones.npz"), "--out", str(folder), "--quiet"]) == 0
    )
    return ChainStore.open(folder)


def test_selection_and_split_keep_clusters_apart(store: ChainStore) -> None:
    """Only globular experimental chains of the asked lengths are taken, and no cluster is on both sides."""
    chosen = select_chains(store, ChainSettings())
    assert 4_000 < len(chosen) < 6_000
    assert (chosen.lengths.min(), chosen.lengths.max()) == (40, 128)
    assert not chosen.column("predicted").any()
    training, held_out = split_clusters(chosen, validation_share=0.05)
    assert len(training) + len(held_out) == len(chosen)
    assert not set(training.column("cluster30")) & set(held_out.column("cluster30"))
    assert len(np.unique(held_out.column("cluster30"))) / len(np.unique(chosen.column("cluster30"))) == pytest.approx(
        0.05, abs=0.015
    )


def test_no_fitting_chains_is_an_error(store: ChainStore) -> None:
    """Lengths that no chain has are refused, with the lengths named."""
    with pytest.raises(InputError, match="5-6"):
        select_chains(store, ChainSettings(lengths=(5, 6)))


def test_the_recipe_is_valid() -> None:
    """The shipped settings file reads, and asks for the embedded model's network."""
    from helicell.protein.model import load_model

    settings = TrainingSettings.from_yaml(RECIPE)
    model = load_model(device="cpu")
    assert model.network.settings == settings.network
    assert model.card["training"] == settings.to_mapping()


def test_a_run_ends_in_a_model_that_samples(store: ChainStore, tmp_path: Path, run_cli: Callable) -> None:
    """Six steps from the command line give a model file with a card, which the sampler takes."""
    (tmp_path / "settings.yaml").write_text(SETTINGS)
    run = tmp_path / "run"
    trained = run_cli(
        "protein",
        "train",
        tmp_path / "settings.yaml",
        "--store",
        store.path,
        "--out",
        run,
        "--quiet",
        "--device",
        "cpu",
    )
    assert trained.code == 0, trained.err
    sampled = run_cli(
        "protein", "sample", "--model", run / "model.safetensors", "--length", "9", "--count", "1", "--steps", "2",
        "--device", "cpu", "--out", tmp_path / "samples", "--json",
    )  # fmt: skip
    assert sampled.code == 0, sampled.err
    assert '"length": 9' in sampled.out


def test_misspelt_settings_are_refused(store: ChainStore, tmp_path: Path, run_cli: Callable) -> None:
    """A wrong key is named with the nearest right one, and no run folder is made."""
    (tmp_path / "settings.yaml").write_text("optimiser: {stepps: 6}")
    result = run_cli("protein", "train", tmp_path / "settings.yaml", "--store", store.path, "--out", tmp_path / "run")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert "stepps" in result.err
    assert "steps" in result.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("columns", "told"), [({}, "--cluster none"), ({"cluster30": [0, 0]}, "held out")])
def test_stores_that_cannot_be_split_are_refused(
    tmp_path: Path, run_cli: Callable, columns: dict[str, list[int]], told: str
) -> None:
    """Without clusters, or with nothing left to train on, a line says what to do, and no run folder is made."""
    line = np.zeros((50, 4, 3), np.float32) + 3.8 * np.arange(50, dtype=np.float32)[:, None, None] / 3**0.5
    chains = [Chain(f"chain{i}", line, "A" * 50, "C" * 50) for i in range(2)]
    known = {"globular": [True, True], "predicted": [False, False], **columns}
    store = write_store(tmp_path / "store", chains, columns=known)
    (tmp_path / "settings.yaml").write_text("chains: {validation_share: 0.999}")
    result = run_cli("protein", "train", tmp_path / "settings.yaml", "--store", store.path, "--out", tmp_path / "run")
    assert (result.code, result.err.count("\n")) == (2, 1)
    assert told in result.err
    assert not (tmp_path / "run").exists()
