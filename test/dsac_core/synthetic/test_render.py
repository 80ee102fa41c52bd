# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dsac_core.errors import CameraError
from dsac_core.geometry.pose import invert
from dsac_core.synthetic import CAMERA, render_view
from dsac_core.synthetic.render import surface_of_pixels

POSES = (0, 150, 300, 500)


def points_of(depth, camera, world_T_cam):
    """Scene points [H x W x 3] of a depth image."""
    y, x = np.mgrid[0 : camera.height, 0 : camera.width]
    rays = np.stack(
        [(x - camera.cx) / camera.fx, (y - camera.cy) / camera.fy, np.ones(x.shape)], -1
    )
    in_camera = rays * depth[..., None].astype(np.float64)
    return in_camera @ world_T_cam[:3, :3].T + world_T_cam[:3, 3]


def cast_slowly(room, camera, world_T_cam, pixel):
    """The plain reference: one ray against every parallelogram, by solving for (u, v, z)."""
    rotation, centre = world_T_cam[:3, :3], world_T_cam[:3, 3]
    x, y = (pixel[0] - camera.cx) / camera.fx, (pixel[1] - camera.cy) / camera.fy
    ray = rotation @ [x, y, 1.0]
    best, nearest = -1, np.inf
    for index, corners in enumerate(room.shape.corners):
        edge_u, edge_v = corners[1] - corners[0], corners[3] - corners[0]
        towards_viewer = np.cross(edge_v, edge_u) @ (centre - corners[0])
        if towards_viewer <= 0 and not room.shape.two_sided[index]:
            continue
        system = np.column_stack([edge_u, edge_v, -ray])
        if abs(np.linalg.det(system)) < 1e-12:
            continue
        u, v, z = np.linalg.solve(system, centre - corners[0])
        if 0 <= u <= 1 and 0 <= v <= 1 and 0 < z < nearest:
            best, nearest = index, z
    return best, nearest


@pytest.mark.parametrize("at", POSES)
def test_agrees_with_the_plain_ray_caster(room, small, mapping, at):
    pose = mapping.world_T_cam[at]
    _, depth = render_view(room, small, pose)
    surface = surface_of_pixels(room, small, pose)
    rng = np.random.default_rng(at)
    wrong = 0
    for _ in range(40):
        x, y = int(rng.integers(small.width)), int(rng.integers(small.height))
        index, z = cast_slowly(room, small, pose, (x, y))
        if index != surface[y, x]:
            wrong += 1  # a ray that grazes an edge may go to either side
            continue
        assert depth[y, x] == pytest.approx(z, rel=2e-5)
    assert wrong <= 1


@pytest.mark.parametrize("at", POSES)
def test_points_of_the_depth_image_lie_on_the_surface_that_was_hit(room, mapping, at):
    pose = mapping.world_T_cam[at]
    _, depth = render_view(room, CAMERA, pose)
    surface = surface_of_pixels(room, CAMERA, pose)
    assert (surface >= 0).all(), "the room is closed: every ray meets something"
    points = points_of(depth, CAMERA, pose)
    offset = points - room.shape.origins[surface]
    off_plane = np.abs(np.einsum("yxi,yxi->yx", offset, room.shape.normals[surface]))
    assert off_plane.max() < 1e-4
    u = np.einsum("yxi,yxi->yx", offset, room.shape.dual_u[surface])
    v = np.einsum("yxi,yxi->yx", offset, room.shape.dual_v[surface])
    # The slack at edges is a thousandth of a pixel; on a leaf seen edge-on that is some of it.
    inside = (np.minimum(u, v) > -0.01) & (np.maximum(u, v) < 1.01)
    assert inside.mean() > 0.9999


@pytest.mark.parametrize(("first", "second"), [(220, 228), (380, 388), (500, 508)])
def test_two_views_show_the_same_colours_at_the_same_points(room, mapping, first, second):
    a, b = mapping.world_T_cam[first], mapping.world_T_cam[second]
    rgb_a, depth_a = render_view(room, CAMERA, a)
    rgb_b, depth_b = render_view(room, CAMERA, b)
    seen = points_of(depth_a, CAMERA, a) @ invert(b)[:3, :3].T + invert(b)[:3, 3]
    with np.errstate(divide="ignore", invalid="ignore"):
        where = (seen[..., :2] / seen[..., 2:] * CAMERA.fx + [CAMERA.cx, CAMERA.cy]).astype("f4")
    look = cv2.remap(depth_b, where, None, cv2.INTER_NEAREST, borderValue=0.0)
    both = (seen[..., 2] > 0.1) & (np.abs(look - seen[..., 2]) < 0.01) & (look > 0)
    assert both.mean() > 0.2, "the views should overlap"
    colour_b = cv2.remap(rgb_b, where, None, cv2.INTER_LINEAR)
    difference = np.abs(rgb_a.astype(float) - colour_b)[both].mean(axis=-1)
    assert np.median(difference) < 5
    # Moved by three pixels, the same picture no longer fits: the test can fail.
    shifted = cv2.remap(rgb_b, where + np.float32(3), None, cv2.INTER_LINEAR)
    moved = np.abs(rgb_a.astype(float) - shifted)[both].mean(axis=-1)
    assert moved.mean() > 1.5 * difference.mean()


def test_every_view_of_both_walks_has_texture(room, small, mapping):
    for pose in mapping.world_T_cam[::30]:
        rgb, _ = render_view(room, small, pose)
        grey = rgb.mean(axis=-1)
        blocks = [
            grey[y : y + 40, x : x + 40].std() for y in (0, 40, 80) for x in range(0, 160, 40)
        ]
        assert np.mean(np.asarray(blocks) > 5) >= 0.75
        assert 50 < grey.mean() < 190


def test_the_same_view_twice_is_the_same_to_the_byte(room, small, mapping):
    pose = mapping.world_T_cam[40]
    one, two = render_view(room, small, pose), render_view(room, small, pose)
    assert one[0].tobytes() == two[0].tobytes()
    assert one[1].tobytes() == two[1].tobytes()


def test_antialiasing_changes_edges_alone(room, small, mapping):
    pose = mapping.world_T_cam[40]
    smooth, depth = render_view(room, small, pose)
    hard, same_depth = render_view(room, small, pose, antialias=False)
    np.testing.assert_array_equal(depth, same_depth)
    changed = (smooth != hard).any(axis=-1).mean()
    assert 0.01 < changed < 0.4


def test_a_distorted_camera_is_refused(room, small, mapping):
    bent = replace(small, distortion_model="plumb_bob", distortion=(0.1, 0.0, 0.0, 0.0, 0.0))
    with pytest.raises(CameraError, match="without distortion"):
        render_view(room, bent, mapping.world_T_cam[0])
