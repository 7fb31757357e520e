"""The settings of jobs that meet a condition: one class a command, each of which makes its task."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from helicell.core.runs.settings import Settings
from helicell.protein.conditioning.assemblies import Assembly
from helicell.protein.conditioning.scaffolds import make_scaffold
from helicell.protein.conditioning.symmetry import parse_symmetry
from helicell.protein.conditioning.task import Free, Task
from helicell.protein.conditioning.variations import make_variation
from helicell.protein.generation import SamplingOptions
from helicell.protein.lengths import LengthRange, parse_lengths
from helicell.protein.model import EMBEDDED


class ConditionSettings(Settings):
    """What all such jobs have in common; together with the model and the files it determines every result."""

    kind: ClassVar[str]

    count: int = Field(16, ge=1, le=10_000_000, description="samples, of each length where there are several")
    model: str = Field(EMBEDDED, description="name of an embedded model, or a .safetensors file")
    steps: int | None = Field(None, ge=1, le=10_000, description="network evaluations per sample")
    seed: int = Field(7, ge=0, lt=2**63, description="seed of the job")
    batch_size: int | None = Field(None, ge=1, description="samples made together")
    noise_scale: float = Field(1.0, ge=0, le=10, description="factor on the starting noise of the translations")
    steric_sweeps: int | None = Field(None, ge=0, le=100, description="sweeps of steric guidance a step; 0 for none")
    rewards: tuple[str, ...] = Field((), description="what to lead to, with weights, such as strand=3")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    format: Literal["cif", "pdb", "bcif"] = "cif"
    shard: str = Field("1/1", description="which part of the job: 2/8 is the second of eight")

    def task(self) -> Task:
        """Return the task; files are read and checked here.

        Raises
        ------
        InputError
            If a setting or a file does not fit.
        """
        raise NotImplementedError

    def files(self) -> list[Path]:
        """Return the files that the task reads."""
        return []

    def options(self) -> SamplingOptions:
        """Return how to sample."""
        return SamplingOptions.of(self)


class ScaffoldSettings(ConditionSettings):
    """New chains around a motif."""

    kind: ClassVar[str] = "protein scaffold"

    motif: str = Field(description="structure file that holds the motif")
    contig: str = Field(description="where its pieces go: 10-30/A25-40/15/B3-9/5-20")
    length: str | None = Field(None, description="residues of the whole chain: 80, or 70-90")
    guidance: float = Field(2.0, ge=0, le=100, description="weight of the gradient to the motif; 0 only holds it")

    def task(self) -> Task:
        total = _one_range(self.length) if self.length is not None else None
        return make_scaffold(self.motif, self.contig, total=total, guidance=self.guidance)

    def files(self) -> list[Path]:
        return [Path(self.motif)]


class AssemblySettings(ConditionSettings):
    """Symmetric assemblies."""

    kind: ClassVar[str] = "protein assemble"

    symmetry: str = Field(description="C3, D2, T, O or I")
    length: str = Field(description="residues of one chain: 60, or 40-80, or 40,60,80")

    def task(self) -> Task:
        return Assembly(parse_symmetry(self.symmetry), parse_lengths(self.length))


class VariationSettings(ConditionSettings):
    """New backbones near a given one."""

    kind: ClassVar[str] = "protein vary"

    backbone: str = Field(description="structure file with one chain")
    noise_level: float = Field(0.3, gt=0, le=1, description="how far back to noise: 1 all the way")

    def task(self) -> Task:
        return make_variation(self.backbone, self.noise_level)

    def files(self) -> list[Path]:
        return [Path(self.backbone)]


class SteeringSettings(ConditionSettings):
    """Backbones that are led to rewards only."""

    kind: ClassVar[str] = "protein steer"

    length: str = Field(description="residues: 80, or 60-120, or 60,80,100")
    rewards: tuple[str, ...] = Field(min_length=1, description="what to lead to, with weights, such as strand=3")

    def task(self) -> Task:
        return Free(parse_lengths(self.length))


def _one_range(text: str) -> LengthRange:
    ranges = parse_lengths(text)
    return LengthRange(min(entry.least for entry in ranges), max(entry.most for entry in ranges))
