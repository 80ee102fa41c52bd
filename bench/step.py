# SPDX-License-Identifier: Apache-2.0
"""How long RANSAC takes in a step of end-to-end training: the expected pose loss and its gradient.

64 hypotheses, 4800 cells, float32; the gradient is that in the scene points.
"""

from __future__ import annotations

import time

import numpy as np
import torch

from bench.frames import RGB, RGBD, WARM_UP, make_frame
from bench.methods import CONFIGS, correspondences_of
from dsac_core.geometry.pose import invert
from dsac_core.ransac.expected_loss import hypothesis_losses

NOISES = {RGB: (1.0, 8.0), RGBD: (1.0, 8.0)}  # px, cm
INLIER_SHARES = (0.3, 0.5, 0.8)


def measure_step(input_: str, share: float, noise: float, frames: int) -> dict[str, object]:
    """One row: medians over frames, after one more to warm up."""
    _times_of_step(input_, share, noise, WARM_UP)
    times = np.array([_times_of_step(input_, share, noise, seed) for seed in range(frames)])
    forward, backward = np.median(times, axis=0)
    return {
        "input": input_,
        "inliers": share,
        "noise": noise,
        "forward_ms": round(float(forward), 2),
        "backward_ms": round(float(backward), 2),
        "total_ms": round(float(np.median(times.sum(axis=1))), 2),
    }


def _times_of_step(input_: str, share: float, noise: float, seed: int) -> tuple[float, float]:
    """Milliseconds of forward and backward."""
    frame = make_frame(input_, share, noise, seed)
    points = torch.from_numpy(frame.points).float().requires_grad_()
    correspondences = correspondences_of(frame, points)
    truth = torch.from_numpy(invert(frame.world_T_cam)[None, :3]).float()
    generator = torch.Generator().manual_seed(seed)
    started = time.perf_counter()
    loss = hypothesis_losses(correspondences, truth, CONFIGS[input_], generator).expected_B().sum()
    half = time.perf_counter()
    loss.backward()
    ended = time.perf_counter()
    return 1e3 * (half - started), 1e3 * (ended - half)
