"""What a job was made from and what it made, as `manifest.json`: enough to repeat it and to check its files.

A manifest holds no time and no path of the machine, so a job that was killed and resumed ends with the same bytes.
"""

import json
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Self

from helicell.core.errors import InputError
from helicell.core.runs.files import sha256, write_json

MANIFEST_NAME = "manifest.json"
# What decides the numbers of a run besides Helicell itself.
RECORDED_PACKAGES = ("helicell", "torch", "numpy")


def installed_versions(packages: Iterable[str] = RECORDED_PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of the packages that are installed, without importing them."""
    versions = {"python": platform.python_version()}
    for package in packages:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return versions


@dataclass(frozen=True, slots=True)
class Manifest:
    """The record of one job.

    Parameters
    ----------
    kind
        What the job does, such as "protein sample".
    seed
        The seed of the job, if it draws random numbers.
    inputs
        SHA-256 of every input, by name.
    outputs
        SHA-256 of every file that the job made, by path relative to its folder.
    versions
        Python and the packages that decide the numbers.
    sizes
        Bytes of every output; taken from the files when the manifest is written.
    """

    kind: str
    seed: int | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=installed_versions)
    sizes: Mapping[str, int] = field(default_factory=dict, compare=False)

    def write(self, folder: str | Path) -> None:
        """Write `manifest.json` into a folder, whole or not at all."""
        folder = Path(folder)
        sizes = {name: (folder / name).stat().st_size for name in self.outputs if (folder / name).is_file()}
        write_json(folder / MANIFEST_NAME, asdict(replace(self, sizes=sizes)))

    @classmethod
    def read(cls, folder: str | Path) -> Self:
        """Read the `manifest.json` of a folder.

        Raises
        ------
        InputError
            If there is none, or it is not a manifest.
        """
        path = Path(folder) / MANIFEST_NAME
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            message = f"{folder} holds no {MANIFEST_NAME}: it is not the folder of a finished job"
            raise InputError(message) from error
        except (ValueError, TypeError) as error:
            message = f"{path} is damaged; run the job again into another folder"
            raise InputError(message) from error

    def changed_outputs(self, folder: str | Path) -> list[str]:
        """Return the files in `folder` that are missing or differ from what the job wrote."""
        folder = Path(folder)
        return [
            name
            for name, digest in self.outputs.items()
            if not (folder / name).is_file() or sha256(folder / name) != digest
        ]


def checksums(folder: str | Path, names: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 of the named files of a folder, in the order given."""
    return {name: sha256(Path(folder) / name) for name in names}
