"""The machine that trains: device, precision, seeds, memory."""

from __future__ import annotations

import ctypes
import platform
import random

import numpy as np
import torch

from passerby.errors import SettingError


def choose_device(name: str) -> torch.device:
    """ "auto" takes CUDA where there is one. Raises SettingError for a device that is not there."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as e:
        raise SettingError(f"run.device: '{name}' is no device (auto, cpu, cuda, cuda:1, ...)") from e
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SettingError(f"run.device: {name}, but torch sees no CUDA device here; set run.device=cpu")
    return device


def choose_precision(name: str, device: torch.device) -> bool:
    """Whether to train in mixed bfloat16; "auto" does so where the machine multiplies in it."""
    if name not in ("auto", "float32", "bfloat16"):
        raise SettingError(f"run.precision: '{name}' is unknown (known: auto, bfloat16, float32)")
    if name != "auto":
        return name == "bfloat16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())


def seed_everything(seed: int) -> None:
    """Python, numpy and torch; pictures draw from their own seeds (see `loader`)."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def keep_memory() -> None:
    """Let glibc keep freed memory instead of returning it: activations of tens of MB come and go every step.

    Measured on 2 cores (batch 32, 300 x 300): 24 -> 33 pictures a second. Elsewhere than on glibc: nothing is done.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    trim_threshold, mmap_max, arena_max = -1, -4, -8  # mallopt(3)
    libc = ctypes.CDLL("libc.so.6")
    for option, value in ((trim_threshold, 2**31 - 1), (mmap_max, 0), (arena_max, 1)):
        libc.mallopt(option, value)


def device_name(device: torch.device) -> str:
    """A device as a person would call it, with its thread count on a CPU."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, {torch.get_num_threads()} threads"
