# SPDX-License-Identifier: Apache-2.0
"""Trajectories in the format of the TUM benchmark."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from judged import UPRIGHT, judged

from dsac_core.evaluation.tum_files import write_trajectories


def test_localized_poses_and_beside_them_the_truth_of_all(tmp_path: Path) -> None:
    frames = [judged(0, 3.0), judged(1, math.inf), judged(2, 7.0, localized=False), judged(3, 1.0)]
    truth_file = write_trajectories(tmp_path / "deep" / "walk.tum", frames)
    assert truth_file == tmp_path / "deep" / "walk.truth.tum"
    estimates, truth = np.loadtxt(tmp_path / "deep" / "walk.tum"), np.loadtxt(truth_file)
    assert estimates[:, 0].tolist() == [0.0, 1.5]
    assert truth[:, 0].tolist() == [0.0, 0.5, 1.0, 1.5]
    assert estimates[1].tolist() == pytest.approx([1.5, 0.3, 0.01, 1.0, *UPRIGHT])
    assert truth[1].tolist() == pytest.approx([0.5, 0.1, 0.0, 1.0, *UPRIGHT])
