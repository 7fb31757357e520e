"""How backbones are judged by their sequences."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from helicell.core.runs.settings import Settings
from helicell.protein.adapters.folding import PUBLISHED
from helicell.protein.evaluation.self_consistency import DESIGNABLE


class SelfConsistencySettings(Settings):
    """How backbones are judged by their sequences."""

    sequences: int = Field(8, ge=1, le=10_000, description="sequences for each backbone")
    temperature: float = Field(0.1, ge=0, le=10, description="of the choice of letters; 0 takes the likeliest")
    weights: str = Field("v_48_020", description="weights of ProteinMPNN, named by neighbours and noise in training")
    kind: Literal["vanilla", "soluble", "ca"] = Field("vanilla", description="soluble proteins only, or CA atoms only")
    folding: str = Field(PUBLISHED, description="weights of ESMFold: a folder, or a name in the cache of the model hub")
    precision: Literal["auto", "float32", "float16", "bfloat16"] = Field(
        "auto", description="of ESMFold's language model; auto is float16 on CUDA"
    )
    chunk_size: int | None = Field(None, ge=1, description="rows of ESMFold's attention at once; null chooses")
    threshold: float = Field(DESIGNABLE, gt=0, description="a backbone is designable below this distance, Angstrom")
    compared: int = Field(250, ge=0, description="designable backbones, at most, that are compared with each other")
    reference: str | None = Field(None, description="store of chains, for the novelty")
    foldseek: str | None = Field(None, description="Foldseek database, for the novelty; needs that program")
    seed: int = Field(7, ge=0, lt=2**63, description="seed of the job")
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"


class DesignabilitySettings(SelfConsistencySettings):
    """What to judge, and how."""

    backbones: list[str] = Field(min_length=1, description="folders of backbones: PDB, mmCIF or BinaryCIF files")
