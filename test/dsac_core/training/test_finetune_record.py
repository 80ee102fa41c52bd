# SPDX-License-Identifier: Apache-2.0
"""The record of end-to-end training."""

from __future__ import annotations

import numpy as np
import pytest

from dsac_core.training.finetune_record import FinetuneRecord, HeldOutErrors


def test_errors_in_words_and_in_the_record() -> None:
    errors = np.array([[0.04, 0.01], [0.015, 0.05], [0.008, 0.001], [np.inf, np.inf]])
    held_out = HeldOutErrors(errors)
    assert held_out.recall == {5: 75.0, 2: 25.0, 1: 25.0}
    degrees = np.degrees([0.01, 0.05, 0.001]).sum()
    assert held_out.mean == pytest.approx((4.0 + 1.5 + 0.8 + degrees + 20.0) / 4)
    better = HeldOutErrors(0.5 * errors[:3].repeat(2, axis=0))
    line = str(FinetuneRecord(9, 1.0, 0, 1.0, held_out, better, kept=True))
    assert line.startswith("within 5 cm/5 deg 75 -> 100 %, 2/2 25 -> 100 %, 1/1")
