# SPDX-License-Identifier: Apache-2.0
"""Keypoints of a posed image: undistorted, with depth where it was measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from posed import CAMERA, camera_pose
from torch.nn import functional

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_core.networks.keypoint_detector import Keypoints
from dsac_core.training.keypoint_view import KeypointView, poses_of

BENT = Camera(160, 120, 150.0, 170.0, 71.0, 66.0, "plumb_bob", (-0.3, 0.08, 0.001, -0.002, 0.0))
# Its polynomial folds back before the corners of the image.
FOLDED = Camera(160, 120, 80.0, 80.0, 80.0, 60.0, "plumb_bob", (-0.5, 0.0, 0.0, 0.0, 0.0))


def keypoints_at(pixels: Any) -> Keypoints:
    where = torch.as_tensor(np.asarray(pixels), dtype=torch.float32).reshape(-1, 2)
    generator = torch.Generator().manual_seed(0)
    looks = functional.normalize(torch.randn(len(where), 64, generator=generator), dim=1)
    return Keypoints(where, torch.ones(len(where)), looks)


def test_pixels_are_those_of_the_ideal_image_about_its_principal_point() -> None:
    pixels = np.array([[71.0, 66.0], [10.25, 100.5], [150.0, 3.0]])
    view = KeypointView.of(keypoints_at(pixels), BENT, np.eye(4), None, torch.float16)
    again = BENT.distort(view.pixels_K2.double().numpy() + np.array([BENT.cx, BENT.cy]))
    np.testing.assert_allclose(again, pixels, atol=1e-3)
    assert not np.allclose(view.pixels_K2[1] + torch.tensor([71.0, 66.0]), pixels[1], atol=0.5)
    assert view.intrinsics_4.tolist() == [150.0, 170.0, 71.0, 66.0]
    assert view.depth_K.tolist() == [0.0, 0.0, 0.0]


def test_keypoints_that_no_ray_reaches_go_with_all_that_is_theirs() -> None:
    keypoints = keypoints_at([[80.0, 60.0], [0.0, 0.0], [90.0, 70.0], [159.0, 119.0]])
    depth = np.arange(120 * 160, dtype=np.float32).reshape(120, 160)
    view = KeypointView.of(keypoints, FOLDED, np.eye(4), depth, torch.float32)
    assert len(view.pixels_K2) == 2
    assert view.depth_K.tolist() == [60 * 160 + 80, 70 * 160 + 90]
    torch.testing.assert_close(view.descriptors_KC, keypoints.descriptors_KC[[0, 2]])


def test_depth_is_read_at_the_pixel_that_was_taken() -> None:
    """From an image of its own size; where there is none it is 0, whatever stands there."""
    depth = np.full((60, 80), 2.0, dtype=np.float32)
    depth[10, 20], depth[11, 21] = 3.5, np.nan
    depth[12, 22], depth[13, 23], depth[14, 24] = np.inf, -1.0, 0.0
    pixels = [[2 * (10 + row) + 0.5, 2 * row + 0.5] for row in range(10, 15)]
    view = KeypointView.of(keypoints_at(pixels), CAMERA, np.eye(4), depth, torch.float16)
    assert view.depth_K.tolist() == [3.5, 0.0, 0.0, 0.0, 0.0]
    bent = KeypointView.of(keypoints_at(pixels), BENT, np.eye(4), depth, torch.float16)
    assert bent.depth_K.tolist() == view.depth_K.tolist()


@pytest.mark.parametrize("precision", [torch.float16, torch.float32])
def test_descriptors_are_kept_in_the_precision_asked_for(precision: torch.dtype) -> None:
    keypoints = keypoints_at([[10.0, 10.0], [20.0, 20.0]])
    view = KeypointView.of(keypoints, CAMERA, np.eye(4), None, precision)
    assert view.descriptors_KC.dtype == precision
    torch.testing.assert_close(
        view.descriptors_KC.float(), keypoints.descriptors_KC, atol=1e-3, rtol=0
    )


def test_scaling_changes_measured_depth_alone() -> None:
    depth = np.full((120, 160), 2.0, dtype=np.float32)
    depth[:, :80] = 0.0
    view = KeypointView.of(
        keypoints_at([[10.0, 10.0], [100.0, 20.0]]), CAMERA, np.eye(4), depth, torch.float16
    )
    scaled = view.with_depth_scaled(1.5)
    assert scaled.depth_K.tolist() == [0.0, 3.0]
    assert view.depth_K.tolist() == [0.0, 2.0]
    assert torch.equal(scaled.pixels_K2, view.pixels_K2)


def test_the_poses_are_those_of_the_cameras() -> None:
    poses = [camera_pose(seed) for seed in range(3)]
    views = [
        KeypointView.of(keypoints_at([[10.0, 10.0]]), camera, pose, None, torch.float16)
        for camera, pose in zip((CAMERA, BENT, FOLDED), poses, strict=True)
    ]
    found = poses_of(views)
    expected = np.stack([invert(pose)[:3] for pose in poses])
    np.testing.assert_allclose(found.rotation_M33, expected[:, :, :3], atol=1e-12)
    np.testing.assert_allclose(found.translation_M3, expected[:, :, 3], atol=1e-12)
    np.testing.assert_allclose(found.centres_M3, np.stack(poses)[:, :3, 3], atol=1e-12)
    assert found.focal_M2.tolist() == [[150.0, 170.0], [150.0, 170.0], [80.0, 80.0]]
    assert found.rotation_M33.dtype == found.focal_M2.dtype == torch.float64


def test_an_image_without_keypoints_is_no_error() -> None:
    depth = np.ones((120, 160), dtype=np.float32)
    for camera in (CAMERA, BENT):
        view = KeypointView.of(keypoints_at([]), camera, np.eye(4), depth, torch.float16)
        assert view.pixels_K2.shape == (0, 2)
        assert view.depth_K.shape == (0,)
