"""A folding network of the real class, tiny and with random weights, for tests of what surrounds it."""

from pathlib import Path
from typing import Any

import torch

SIZES = {
    "vocab_size": 33,
    "mask_token_id": 32,
    "pad_token_id": 1,
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "position_embedding_type": "rotary",
    "token_dropout": True,
    "is_folding_model": True,
    "esmfold_config": {
        "fp16_esm": False,
        "lddt_head_hid_dim": 8,
        "trunk": {
            "num_blocks": 1,
            "sequence_state_dim": 32,
            "pairwise_state_dim": 16,
            "sequence_head_width": 8,
            "pairwise_head_width": 8,
            "position_bins": 8,
            "max_recycles": 2,
            "structure_module": {
                "sequence_dim": 32,
                "pairwise_dim": 16,
                "ipa_dim": 8,
                "resnet_dim": 16,
                "num_heads_ipa": 2,
                "num_blocks": 2,
            },
        },
    },
}


def save_random_fold(folder: Path, *, seed: int = 0) -> Path:
    """Save ESMFold of tiny sizes, every tensor of it random, as the package saves models."""
    from transformers import EsmConfig, EsmForProteinFolding
    from transformers.models.esm.configuration_esm import get_default_vocab_list
    from transformers.utils import logging

    logging.disable_progress_bar()
    generator = torch.Generator().manual_seed(seed)
    network: Any = EsmForProteinFolding(EsmConfig(**SIZES, vocab_list=get_default_vocab_list()))
    with torch.no_grad():
        for parameter in network.parameters():
            # Layers that start at zero would leave the structure without a trace of the sequence.
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    network.save_pretrained(folder)
    return folder
