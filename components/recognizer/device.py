"""Where ONNX Runtime encodes pictures: on the CPU, or on an NVIDIA GPU.

The decoder stays on the CPU: its steps are short, and its cache lies in the host's memory.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Literal

Device = Literal["auto", "cpu", "cuda"]

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

logger = logging.getLogger(__name__)


def providers(device: Device, available: list[str]) -> list[str]:
    """ONNX Runtime's execution providers for a device, the first that works to be used."""
    if device == "cpu":
        return [CPU]
    if CUDA in available:
        return [CUDA, CPU]
    if device == "cuda":
        warn_of_fallback("this onnxruntime has no CUDA; `pip install onnxruntime-gpu` brings it")
    return [CPU]


@cache  # once a process and reason, not once a session
def warn_of_fallback(reason: str) -> None:
    """Log that the CPU reads although a GPU was asked for."""
    logger.warning("DEVICE: reading on the CPU: %s", reason)
