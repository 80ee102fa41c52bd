# SPDX-License-Identifier: Apache-2.0
"""Scene points as a cloud: places, colours, layout."""

from __future__ import annotations

import struct

import numpy as np
from seen import CAMERA, correspondences, pixels_and_points

from dsac_ros.reprojection import Reprojection, reproject
from dsac_ros.scene_points import POINT, scene_points


def seen_in(map_T_cam: np.ndarray | None) -> Reprojection:
    pixels, points = pixels_and_points(CAMERA, np.eye(4))
    points[0] += [1.0, 0.0, 0.0]
    return reproject(correspondences(pixels, points, CAMERA), CAMERA, map_T_cam)


def picture() -> np.ndarray:
    image = np.zeros((CAMERA.height, CAMERA.width, 3), np.uint8)
    image[..., 0] = np.arange(CAMERA.width)
    image[..., 1] = np.arange(CAMERA.height)[:, None]
    image[..., 2] = 7
    return image


def test_points_have_the_colour_of_their_pixel() -> None:
    seen = seen_in(np.eye(4))
    records = scene_points(picture(), seen)
    np.testing.assert_allclose(
        np.column_stack([records["x"], records["y"], records["z"]]), seen.points_N3, rtol=1e-6
    )
    column, row = np.rint(seen.pixels_N2[1]).astype(int)
    assert records["rgb"][1] == column << 16 | row << 8 | 7


def test_the_bytes_are_those_that_ros_expects() -> None:
    record = scene_points(picture(), seen_in(np.eye(4)))[1]
    assert POINT.itemsize == 20
    x, y, z, blue, green, red, none, error = struct.unpack("<fffBBBBf", record.tobytes())
    assert (x, y, z) == (record["x"], record["y"], record["z"])
    assert (none, blue) == (0, 7)
    assert red << 16 | green << 8 | blue == record["rgb"]
    assert error == record["error"]


def test_points_that_do_not_agree_are_red() -> None:
    image = np.full((CAMERA.height, CAMERA.width), 200, np.uint8)
    records = scene_points(image, seen_in(np.eye(4)))
    red, green = records["rgb"] >> 16, records["rgb"] >> 8 & 255
    assert red[0] > green[0]
    assert (red[1:] == green[1:]).all()


def test_without_a_pose_all_are_there_and_none_agrees() -> None:
    records = scene_points(picture(), seen_in(None))
    assert len(records) == 40
    assert np.isinf(records["error"]).all()
    assert np.isfinite(records["x"]).all()
