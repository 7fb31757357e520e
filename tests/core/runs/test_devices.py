"""The choice of device and precision."""

import pytest
import torch

from helicell.core.errors import InputError
from helicell.core.runs.devices import choose_device, choose_precision


def test_auto_takes_what_works():
    """The device that "auto" names can compute."""
    assert torch.ones(2, device=choose_device("auto")).sum().item() == 2


def test_a_scheduler_variable_does_not_make_a_gpu(monkeypatch):
    """Slurm may set CUDA_VISIBLE_DEVICES on a machine without CUDA; only torch is believed."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(InputError, match="'cuda' does not work on this machine"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("cuda", "mps", "expected"), [(True, False, "cuda"), (False, True, "mps"), (True, True, "cuda")]
)
def test_auto_prefers_a_gpu(monkeypatch, cuda, mps, expected):
    """Where torch has a GPU, "auto" takes it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert choose_device("auto").type == expected


@pytest.mark.parametrize("name", ["gpu", "cuda:0", ""])
def test_an_unknown_device_lists_the_known(name):
    """The line names every choice."""
    with pytest.raises(InputError, match="choose one of: auto, cpu, cuda, mps"):
        choose_device(name)


def test_precision():
    """Names map to dtypes, "auto" to the one whose results do not depend on the batch; others are refused."""
    cpu = torch.device("cpu")
    assert choose_precision("auto", cpu) is torch.float32
    assert choose_precision("bfloat16", cpu) is torch.bfloat16
    with pytest.raises(InputError, match="choose one of: auto, float32, bfloat16"):
        choose_precision("float16", cpu)


def test_a_gpu_without_bfloat16_says_so(monkeypatch):
    """An old GPU would emulate it, slower than float32."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Old GPU")
    with pytest.raises(InputError, match="Old GPU has no bfloat16"):
        choose_precision("bfloat16", torch.device("cuda"))
