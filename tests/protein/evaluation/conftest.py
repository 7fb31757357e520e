"""Real chains for the tests of the evaluation."""

from pathlib import Path

import numpy as np
import pytest

from helicell.protein.chains.store import ChainStore
from helicell.protein.structures import Chain


@pytest.fixture(scope="session")
def natural_store(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> ChainStore:
    """Return a store of four hundred real chains of 50 to 120 residues, one of a cluster, globular and experimental."""
    from helicell.protein.chains.importing import ImportSettings, import_chains
    from helicell.protein.chains.sources import open_source

    folder = tmp_path_factory.mktemp("evaluation")
    source = open_source(str(data_dir / "proteins" / "backbones.npz"))
    import_chains(source, folder / "all", settings=ImportSettings(cluster="none"))
    store = ChainStore.open(folder / "all")
    keep = store.column("globular").astype(bool) & ~store.column("predicted").astype(bool)
    keep &= (store.lengths >= 50) & (store.lengths <= 120)
    chosen = store.select(keep)
    _, first = np.unique(chosen.column("cluster30"), return_index=True)
    return chosen.select(np.random.default_rng(0).permutation(first)[:400])


@pytest.fixture(scope="session")
def natural(natural_store: ChainStore) -> list[Chain]:
    """Return forty of them."""
    return [natural_store[i] for i in range(40)]
