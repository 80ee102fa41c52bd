# SPDX-License-Identifier: Apache-2.0
"""The choice of precision."""

from __future__ import annotations

import pytest
import torch

from dsac_core.networks import precision

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def test_on_a_cpu_the_same_for_both() -> None:
    assert precision.inference_dtype(CPU) in (torch.bfloat16, torch.float32)
    assert precision.training_dtype(CPU) == precision.inference_dtype(CPU)


def test_on_cuda_training_has_the_range_of_bfloat16() -> None:
    assert precision.inference_dtype(CUDA) == torch.float16
    assert precision.training_dtype(CUDA) == torch.bfloat16


@pytest.mark.parametrize(("half", "chosen"), [(0.5, torch.bfloat16), (2.0, torch.float32)])
def test_the_faster_one_is_taken(
    half: float, chosen: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {torch.bfloat16: half, torch.float32: 1.0}
    monkeypatch.setattr(precision, "_matmul_seconds", seconds.__getitem__)
    precision._bfloat16_is_faster.cache_clear()
    try:
        assert precision.inference_dtype(CPU) == chosen
    finally:
        precision._bfloat16_is_faster.cache_clear()
