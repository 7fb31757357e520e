"""A small published network with random weights, checkpoints of it as Lightning writes them, and published outputs."""

import sys
import types
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helicell.protein.frames import Frames
from helicell.protein.networks.compact import FramesBatch
from helicell.protein.networks.framediff import FrameDiffNetwork
from helicell.protein.published.settings import FrameDiffSettings

SMALL = FrameDiffSettings(
    width=32,
    pair_width=16,
    position_width=16,
    time_width=16,
    pair_features=8,
    distance_bins=10,
    head_width=8,
    heads=2,
    query_points=3,
    value_points=4,
    transformer_heads=2,
    transformer_layers=1,
    blocks=3,
)
CONFIG: dict[str, Any] = {
    "model": {
        "node_embed_size": 32,
        "edge_embed_size": 16,
        "symmetric": False,
        "node_features": {"c_s": "${model.node_embed_size}", "c_pos_emb": 16, "c_timestep_emb": 16},
        "edge_features": {"feat_dim": 8, "num_bins": 10, "self_condition": True, "embed_diffuse_mask": True},
        "ipa": {
            "c_s": "${model.node_embed_size}",
            "c_hidden": 8,
            "no_heads": 2,
            "no_qk_points": 3,
            "no_v_points": 4,
            "seq_tfmr_num_heads": 2,
            "seq_tfmr_num_layers": 1,
            "num_blocks": 3,
        },
    },
    "interpolant": {
        "min_t": 0.02,
        "rots": {"sample_schedule": "exp", "exp_rate": 8},
        "sampling": {"num_timesteps": 12},
    },
    "experiment": {"training": {"translation_loss_weight": 2.0, "aux_loss_t_pass": 0.25, "t_normalize_clip": 0.8}},
    "data": {"dataset": "scope", "rectify": True, "mixed": [1, 2]},
}


def random_network(settings: FrameDiffSettings = SMALL, *, seed: int = 0) -> FrameDiffNetwork:
    """Return a network with random weights everywhere; a new one moves nothing."""
    torch.manual_seed(seed)
    network = FrameDiffNetwork(settings)
    for parameter in network.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return network.eval().requires_grad_(requires_grad=False)


class _Node:
    """What OmegaConf's classes are to a pickle: a name, and attributes."""

    def __init__(self, **state: Any) -> None:
        self.__dict__.update(state)


def write_checkpoint(
    path: Path, state: Mapping[str, Tensor], *, config: Mapping[str, Any] | None = CONFIG, **more: Any
) -> Path:
    """Write a checkpoint like those of Lightning, with OmegaConf's pickled configuration inside, if there is one.

    OmegaConf itself is not needed: classes of the same names and with the same attributes stand in while pickling.
    """
    names = {"dictconfig": "DictConfig", "listconfig": "ListConfig", "nodes": "AnyNode", "base": "ContainerMetadata"}
    modules = {"omegaconf": types.ModuleType("omegaconf")}
    kinds = {}
    for module, name in names.items():
        full = f"omegaconf.{module}"
        modules[full] = types.ModuleType(full)
        kinds[name] = type(name, (_Node,), {"__module__": full})
        setattr(modules[full], name, kinds[name])

    def node(value: Any, parent: Any) -> Any:
        metadata = kinds["ContainerMetadata"](ref_type=Any, object_type=dict, optional=True)
        if isinstance(value, Mapping):
            made = kinds["DictConfig"](_metadata=metadata, _parent=parent)
            made._content = {key: node(one, made) for key, one in value.items()}
            return made
        if isinstance(value, list):
            made = kinds["ListConfig"](_metadata=metadata, _parent=parent)
            made._content = [node(one, made) for one in value]
            return made
        return kinds["AnyNode"](_metadata=metadata, _parent=parent, _val=value)

    content = {
        "epoch": 7,
        "global_step": 1234,
        "pytorch-lightning_version": "2.0.9",
        "state_dict": OrderedDict((f"model.{name}", tensor) for name, tensor in state.items()),
        "optimizer_states": [{"state": {0: {"exp_avg": torch.zeros(3), "step": torch.tensor(2.0)}}}],
        **({"hyper_parameters": {"cfg": node(config, None)}} if config is not None else {}),
        **more,
    }
    before = {name: sys.modules.get(name) for name in modules}
    sys.modules.update(modules)
    try:
        torch.save(content, path)
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
    return path


class PublishedOutputs:
    """Inputs and outputs of the published code, by the names that the archive gives them."""

    def __init__(self, path: Path) -> None:
        with np.load(path, allow_pickle=False) as archive:
            self.arrays = {name: torch.from_numpy(archive[name]) for name in archive.files}

    def __getitem__(self, name: str) -> Tensor:
        return self.arrays[name]

    def batch(self, prefix: str) -> tuple[FramesBatch, Tensor]:
        """Return the noisy frames of a call, and which residues are free to move."""
        frames = Frames(self[f"{prefix}in_trans_t"], self[f"{prefix}in_rotquats_t"])
        times = torch.cat((self[f"{prefix}in_r3_t"], self[f"{prefix}in_so3_t"]), dim=1)
        mask, index = self[f"{prefix}in_res_mask"].bool(), self[f"{prefix}in_res_idx"].long()
        return FramesBatch(frames, mask, index, times), self[f"{prefix}in_diffuse_mask"].bool()

    def known(self, prefix: str) -> Frames:
        """Return the previous prediction of a call, of which only translations count."""
        return Frames(self[f"{prefix}in_trans_sc"], self[f"{prefix}in_rotquats_t"])


def quaternion_difference(one: Tensor, other: Tensor) -> float:
    """Return the greatest difference of a component, each pair of quaternions with the sign that makes it least."""
    return float(torch.minimum((one - other).abs().amax(dim=-1), (one + other).abs().amax(dim=-1)).max())
