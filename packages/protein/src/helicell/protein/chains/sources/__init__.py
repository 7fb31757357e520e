"""Where chains come from; every kind of source is a module with one class, found by what lies at the path."""

from pathlib import Path

from helicell.core.errors import InputError
from helicell.protein.chains.layout import METADATA_FILE
from helicell.protein.chains.sources.backbones import BackboneArchive
from helicell.protein.chains.sources.cgdms import PACKAGE, CgdmsProteins, find_cgdms
from helicell.protein.chains.sources.folder import StructureFolder
from helicell.protein.chains.sources.promod3 import DATABASE, PromodDatabase, is_promod_database
from helicell.protein.chains.sources.source import Item, Source
from helicell.protein.structures import is_structure_file

__all__ = ["Item", "Source", "open_source"]


def open_source(path: str | Path, *, workers: int = 1) -> Source:
    """Open whatever holds chains.

    Parameters
    ----------
    path
        A folder of structure files (PDB, mmCIF, BinaryCIF, also gzipped) or one such file; the name ``cgdms``, where
        that package can be imported, or its folder; promod3's ``structure_db.dat`` or the folder that holds it; or
        a NumPy archive of backbones (``.npz``).
    workers
        Processes that read structure files.

    Returns
    -------
    Source
        An iterable of items, each with its chains or the reason why it has none.

    Raises
    ------
    InputError
        If there is nothing at the path, or nothing that is known.
    """
    path = Path(path)
    if not path.exists() and str(path) != PACKAGE:
        message = (
            f"{path} does not exist; give a folder of structure files, cgdms, a structure_db.dat or an .npz archive"
        )
        raise InputError(message)
    proteins = find_cgdms(path) if not path.is_file() else None
    if proteins:
        return CgdmsProteins(proteins)
    if (path / DATABASE).is_file():
        return PromodDatabase(path / DATABASE)
    if (path / METADATA_FILE).is_file():
        message = f"{path} is a chain store already; give what it was imported from"
        raise InputError(message)
    if path.is_dir() or is_structure_file(path):
        return StructureFolder(path, workers=workers)
    if path.suffix == ".npz":
        return BackboneArchive(path)
    if is_promod_database(path):
        return PromodDatabase(path)
    message = (
        f"{path} is no known source of chains; expected a structure file (.pdb, .cif, .bcif, also .gz), a folder of "
        "them, the cgdms package, promod3's structure_db.dat or an .npz archive"
    )
    raise InputError(message)
