# SPDX-License-Identifier: Apache-2.0
"""What was seen beside where the pose puts it."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from seen import CAMERA, LENS, correspondences, pixels_and_points

from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_ros.reprojection import explain, reproject


def pose(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    result = np.eye(4)
    result[:3, :3] = Rotation.from_rotvec(rng.normal(size=3)).as_matrix()
    result[:3, 3] = rng.normal(size=3)
    return result


@pytest.mark.parametrize("camera", [CAMERA, LENS], ids=["pinhole", "lens"])
def test_the_true_pose_puts_every_point_where_it_is_seen(camera: Camera) -> None:
    scene_T_cam, map_T_scene = pose(1), pose(2)
    pixels, points = pixels_and_points(camera, scene_T_cam)
    seen = reproject(
        correspondences(pixels, points, camera), camera, map_T_scene @ scene_T_cam, map_T_scene
    )
    assert seen.inliers_N.all()
    assert np.abs(seen.errors_N).max() < 1e-6
    np.testing.assert_allclose(seen.projected_N2, seen.pixels_N2, atol=1e-6)
    in_camera = (seen.points_N3 - map_T_scene[:3, 3]) @ map_T_scene[:3, :3]
    np.testing.assert_allclose(in_camera, points, atol=1e-9)


def test_pixels_are_those_of_the_distorted_image() -> None:
    pixels, points = pixels_and_points(LENS, np.eye(4))
    seen = reproject(correspondences(pixels, points, LENS), LENS, None)
    expected, _ = cv2.projectPoints(
        points, np.zeros(3), np.zeros(3), LENS.matrix, np.array(LENS.distortion)
    )
    np.testing.assert_allclose(seen.pixels_N2, expected[:, 0], atol=1e-6)
    assert np.abs(seen.pixels_N2 - pixels).max() > 1.0


def test_errors_are_px_of_the_image_also_where_a_resized_one_was_looked_at() -> None:
    pixels, points = pixels_and_points(CAMERA, np.eye(4))
    small = CAMERA.scaled(CAMERA.width // 2, CAMERA.height // 2)
    offset = np.zeros(len(pixels))
    offset[:5] = 3.0  # px of the small image
    in_small = (pixels + 0.5) / 2 - 0.5 + np.column_stack([offset, 0 * offset])
    seen = reproject(correspondences(in_small, points, small), CAMERA, np.eye(4), threshold=2.0)
    assert seen.threshold == pytest.approx(4.0)
    np.testing.assert_allclose(seen.errors_N[:5], 6.0)
    assert not seen.inliers_N[:5].any()
    assert seen.inliers_N[5:].all()


def test_without_a_pose_nothing_agrees() -> None:
    pixels, points = pixels_and_points(CAMERA, np.eye(4))
    seen = reproject(correspondences(pixels, points, CAMERA), CAMERA, None)
    assert not seen.inliers_N.any()
    assert np.isnan(seen.projected_N2).all()


def test_behind_the_camera_nothing_agrees() -> None:
    pixels, points = pixels_and_points(CAMERA, np.eye(4))
    points[0] = -points[0]  # the same pixel, without the sign of the depth
    seen = reproject(correspondences(pixels, points, CAMERA), CAMERA, np.eye(4))
    assert not seen.inliers_N[0]
    assert seen.inliers_N[1:].all()


def test_what_has_no_weight_is_left_out_and_landmarks_are_told_apart() -> None:
    pixels, points = pixels_and_points(CAMERA, np.eye(4), count=6)
    weights = np.array([1.0, 0.0, 1.0, 0.0, 2.0, 1.0])
    landmarks = np.array([False, True, True, False, False, True])
    found = correspondences(pixels, points, CAMERA, weights=weights, landmarks=landmarks)
    seen = reproject(found, CAMERA, invert(np.eye(4)))
    assert seen.landmarks_N.tolist() == [False, True, False, True]
    np.testing.assert_allclose(seen.pixels_N2, pixels[weights > 0])


def test_explaining_asks_the_relocalizer_and_moves_the_points_into_the_map() -> None:
    scene_T_cam, map_T_scene = pose(1), pose(2)
    pixels, points = pixels_and_points(CAMERA, scene_T_cam)
    relocalizer = SimpleNamespace(
        scene=SimpleNamespace(map_T_scene=map_T_scene),
        correspondences=lambda _image, camera: correspondences(pixels, points, camera),
    )
    image = np.zeros((CAMERA.height, CAMERA.width), np.uint8)
    assert explain(relocalizer, image, CAMERA, map_T_scene @ scene_T_cam).inliers_N.all()
    assert not explain(relocalizer, image, CAMERA, None).inliers_N.any()
