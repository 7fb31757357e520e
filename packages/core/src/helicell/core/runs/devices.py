"""Which device computes, and in which precision."""

import torch

from helicell.core.errors import InputError, unknown_option

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def choose_device(name: str = "auto") -> torch.device:
    """Return the device of this name; "auto" takes the first that works of cuda, mps and cpu.

    Only torch is asked: a scheduler may set CUDA_VISIBLE_DEVICES on a machine that has no usable GPU.

    Raises
    ------
    InputError
        If the name is unknown, or the device does not work here.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    working = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        return torch.device(next(device for device, works in working.items() if works))
    if name not in working:
        raise unknown_option("device", name, DEVICES)
    if not working[name]:
        message = f"the device {name!r} does not work on this machine; choose auto or cpu"
        raise InputError(message)
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> torch.dtype:
    """Return the dtype that networks compute in.

    "auto" is float32 everywhere: samples then agree to 1e-3 Angstrom whatever the batch size. bfloat16 is faster on
    hardware that multiplies it natively, and is a choice of the user.

    Raises
    ------
    InputError
        If the name is unknown, or the device cannot compute in that precision.

    Examples
    --------
    >>> choose_precision("auto", torch.device("cpu"))
    torch.float32
    """
    if name == "auto":
        return torch.float32
    if name not in PRECISIONS:
        raise unknown_option("precision", name, ("auto", *PRECISIONS))
    if name == "bfloat16" and device.type == "cuda" and not torch.cuda.is_bf16_supported():
        message = f"the GPU {torch.cuda.get_device_name(device)} has no bfloat16; choose the precision float32"
        raise InputError(message)
    return PRECISIONS[name]
