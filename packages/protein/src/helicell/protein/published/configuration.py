"""The configuration that lies beside or inside a published checkpoint, and our settings from it.

It is a tree of keys and values, some of which refer to others as ${a.b}. Inside of a checkpoint it is a pickled object
of OmegaConf, which comes here as `Made`; nothing of OmegaConf is needed to read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from helicell.core.errors import InputError
from helicell.core.training.pickles import Made
from helicell.protein.published.settings import FrameDiffLossSettings, FrameDiffSampling, FrameDiffSettings

# Classes of OmegaConf of which its pickles are made, and what they refer to.
OMEGACONF_NAMES = frozenset(
    {
        "omegaconf.base.ContainerMetadata",
        "omegaconf.base.Metadata",
        "omegaconf.dictconfig.DictConfig",
        "omegaconf.listconfig.ListConfig",
        *(
            f"omegaconf.nodes.{kind}Node"
            for kind in ("Any", "Boolean", "Bytes", "Enum", "Float", "Integer", "Path", "String")
        ),
        *(f"typing.{kind}" for kind in ("Any", "Dict", "List", "Optional", "Tuple", "Union")),
    }
)
LARGEST_FILE = 1 << 20
DEEPEST = 32
REFERENCE = re.compile(r"\$\{([\w.]+)\}")

# Our names of the sizes, and the keys under `model` by which published configurations call them.
SIZES = {
    "width": "node_embed_size",
    "pair_width": "edge_embed_size",
    "position_width": "node_features.c_pos_emb",
    "time_width": "node_features.c_timestep_emb",
    "pair_features": "edge_features.feat_dim",
    "distance_bins": "edge_features.num_bins",
    "head_width": "ipa.c_hidden",
    "heads": "ipa.no_heads",
    "query_points": "ipa.no_qk_points",
    "value_points": "ipa.no_v_points",
    "transformer_heads": "ipa.seq_tfmr_num_heads",
    "transformer_layers": "ipa.seq_tfmr_num_layers",
    "blocks": "ipa.num_blocks",
}
# Variants that no released checkpoint uses: their keys under `model`, and the only value that is understood.
VARIANTS = {
    "symmetric": False,
    "node_features.embed_chain": False,
    "edge_features.embed_chain": False,
    "edge_features.self_condition": True,
    "edge_features.embed_diffuse_mask": True,
}
LOSSES = {
    "translation": "translation_loss_weight",
    "rotation": "rotation_loss_weights",
    "structure": "aux_loss_weight",
    "structure_from": "aux_loss_t_pass",
    "latest_scale": "t_normalize_clip",
}


@dataclass(frozen=True, slots=True)
class Configuration:
    """A published configuration: its tree, and where it comes from."""

    tree: Mapping[str, Any]
    source: str

    @classmethod
    def from_yaml(cls, path: Path) -> Configuration:
        """Read a config.yaml.

        Raises
        ------
        InputError
            If the file cannot be read or is no YAML mapping.
        """
        try:
            if path.stat().st_size > LARGEST_FILE:
                message = f"{path} is too large for a configuration; give the config.yaml of the checkpoint"
                raise InputError(message)
            tree = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            message = f"cannot read the configuration {path}: {error.strerror}"
            raise InputError(message) from error
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            message = f"{path} is not valid YAML: {' '.join(str(error).split())[:200]}"
            raise InputError(message) from error
        if not isinstance(tree, dict):
            message = f"{path} holds no mapping of keys to values; give the config.yaml of the checkpoint"
            raise InputError(message)
        return cls(tree, str(path))

    @classmethod
    def from_pickle(cls, content: Any, *, source: str) -> Configuration | None:
        """Return the configuration among the hyper-parameters of a Lightning checkpoint, or None if there is none."""
        hyper_parameters = content.get("hyper_parameters") if isinstance(content, dict) else None
        pickled = hyper_parameters.get("cfg") if isinstance(hyper_parameters, dict) else None
        tree = _plain(pickled, DEEPEST)
        return cls(tree, source) if isinstance(tree, dict) and "model" in tree else None

    def get(self, path: str, *, deep: int = 8) -> Any:
        """Return the value at a path of keys, "a.b.c", references followed; None where there is none."""
        value: Any = self.tree
        for key in path.split("."):
            value = value.get(key) if isinstance(value, Mapping) else None
        reference = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        if reference is None:
            return value
        return self.get(reference[1], deep=deep - 1) if deep else None

    def network(self) -> FrameDiffSettings:
        """Return the sizes of the network.

        Raises
        ------
        InputError
            If one is missing or makes no sense, or the network is a variant that is not known here.
        """
        if not isinstance(self.get("model"), Mapping):
            message = f"{self.source} does not say how large the network is: it has no key 'model'"
            raise InputError(message)
        for key, known in VARIANTS.items():
            if self.get(f"model.{key}") not in (None, known):
                message = (
                    f"{self.source}: model.{key} is {self.get(f'model.{key}')!r}; only networks with {known} are known"
                )
                raise InputError(message)
        sizes = {name: self.get(f"model.{key}") for name, key in SIZES.items()}
        missing = [f"model.{SIZES[name]}" for name, size in sizes.items() if size is None]
        if missing:
            message = f"{self.source} does not say how large the network is: {', '.join(missing)} missing"
            raise InputError(message)
        return FrameDiffSettings.from_mapping(sizes, source=self.source)

    def sampling(self) -> FrameDiffSampling:
        """Return how the network is sampled: the published times and rate, without overshooting."""
        given = {
            "steps": self.get("interpolant.sampling.num_timesteps"),
            "rotation_rate": self.get("interpolant.rots.exp_rate"),
            "least_time": self.get("interpolant.min_t"),
        }
        return FrameDiffSampling.from_mapping(_present(given), source=self.source)

    def losses(self) -> FrameDiffLossSettings:
        """Return the weights of the losses in training."""
        given = {name: self.get(f"experiment.training.{key}") for name, key in LOSSES.items()}
        return FrameDiffLossSettings.from_mapping(_present(given), source=self.source)


def _present(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _plain(value: Any, deep: int) -> Any:
    """Return an object of OmegaConf as plain dicts, lists and values; anything else as None."""
    if not deep:
        return None
    if isinstance(value, Made) and isinstance(value.state, dict):
        if value.name.startswith("omegaconf.nodes."):
            return _plain(value.state.get("_val"), deep - 1)
        if value.name.startswith("omegaconf."):
            return _plain(value.state.get("_content"), deep - 1)
    if isinstance(value, dict):
        return {str(key): _plain(one, deep - 1) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, deep - 1) for one in value]
    return value if isinstance(value, bool | int | float | str) else None
