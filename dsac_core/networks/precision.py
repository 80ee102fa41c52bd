# SPDX-License-Identifier: Apache-2.0
"""The fastest precision that a device really has."""

from __future__ import annotations

import time
from functools import lru_cache

import torch


def inference_dtype(device: torch.device) -> torch.dtype:
    """float16 on CUDA; on a CPU bfloat16 where a short measurement finds it faster than float32.

    Every CPU computes in bfloat16, but only those with instructions for it gain; the others lose.
    """
    if device.type == "cuda":
        return torch.float16
    return torch.bfloat16 if _bfloat16_is_faster() else torch.float32


@lru_cache(maxsize=1)
def _bfloat16_is_faster() -> bool:
    return _matmul_seconds(torch.bfloat16) < 0.8 * _matmul_seconds(torch.float32)


def _matmul_seconds(dtype: torch.dtype) -> float:
    """Best of several products of the head's size.

    In time that this thread computes: what else the machine has to do decides nothing.
    """
    left, right = torch.ones(1024, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
    best = float("inf")
    for _ in range(6):
        start = time.thread_time()
        _ = left @ right
        best = min(best, time.thread_time() - start)
    return best


def training_dtype(device: torch.device) -> torch.dtype:
    """As for inference, but bfloat16 on CUDA: its range needs no loss scaling."""
    return torch.bfloat16 if device.type == "cuda" else inference_dtype(device)
