# SPDX-License-Identifier: Apache-2.0
"""Edges of depth find their edges in the image."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dsac_core.checks.depth_views import DepthView, depth_edges, gradients
from dsac_core.checks.registration import Registration, align_edges
from dsac_core.geometry.camera import Camera

CAMERA = Camera(320, 240, 260.0, 260.0, 150.0, 125.0)


def box_view(seed: int, scale: float = 1.0, right: float = 0.0) -> DepthView:
    """Boxes before a wall with a pattern; the depth camera sees them scaled and moved."""
    rng = np.random.default_rng(seed)
    depth = np.full((240, 320), 3.0, np.float32)
    gray = cv2.GaussianBlur(rng.integers(90, 130, (240, 320), dtype=np.uint8), (0, 0), 2.0)
    for _ in range(6):
        (x, y), (w, h) = rng.integers(20, 200, 2), rng.integers(20, 70, 2)
        depth[y : y + h, x : x + w] = rng.uniform(1.0, 2.0)
        gray[y : y + h, x : x + w] = rng.integers(0, 255)
    warp = np.array(
        [[scale, 0, CAMERA.cx * (1 - scale) + 320 * right], [0, scale, CAMERA.cy * (1 - scale)]]
    )
    seen = cv2.warpAffine(depth, warp, (320, 240), flags=cv2.INTER_NEAREST)
    return DepthView(seed, CAMERA, seen, depth_edges(seen), gradients(gray))


@pytest.mark.parametrize(("scale", "right"), [(1.0, 0.0), (1.12, 0.0), (0.7, 0.03)])
def test_scale_and_shift_are_found(scale, right):
    found = align_edges([box_view(seed, scale, right) for seed in range(16)])
    assert found.best.scale == pytest.approx(scale, rel=0.02)
    assert found.best.right == pytest.approx(right, abs=0.01)
    assert found.best.down == pytest.approx(0.0, abs=0.01)
    assert found.is_clear == (scale != 1.0)


def test_few_views_or_no_edges_say_nothing():
    views = [box_view(seed) for seed in range(8)]
    assert align_edges(views).is_known
    assert not align_edges(views[:7]).is_known
    flat = [replace(view, edges_E2=view.edges_E2[:100]) for view in views]
    assert not align_edges(flat).is_known


def test_holes_are_no_edges():
    depth = np.full((60, 80), 2.0, np.float32)
    depth[20:40, 20:40] = 0.0
    assert len(depth_edges(depth)) == 0
    depth[20:40, 20:40] = 1.0
    edges = depth_edges(depth)
    assert np.abs(edges - 29.5).max() < 13.0
    assert edges[:, 0].max() - edges[:, 0].min() > 15.0


def test_displacement():
    assert Registration().displacement() == 0.0
    assert Registration(right=0.03, down=0.04).displacement() == pytest.approx(0.05)
    assert 0.02 < Registration(scale=1.1).displacement() < 0.05
