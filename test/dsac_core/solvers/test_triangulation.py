# SPDX-License-Identifier: Apache-2.0
"""Points from several views: against the truth, SciPy, and angles computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from dsac_core.solvers.triangulation import Sightings, Views, triangulate

FOCAL = (500.0, 480.0)
FAR_AWAY = (4e5, -5e6, 300.0)  # metres, as map projections are


class Ring:
    """Six cameras around some points that they all look at, from two to four metres."""

    def __init__(
        self, points: int = 20, noise: float = 0.0, origin: tuple[float, ...] = (0.0, 0.0, 0.0)
    ) -> None:
        rng = np.random.default_rng(0)
        poses = []
        for turn in np.linspace(-0.5, 0.5, 6):
            rotation = Rotation.from_rotvec([0.1 * turn, turn, 0.3 * turn]).as_matrix()
            poses.append(np.column_stack([rotation, rotation @ np.negative(origin) + [0, 0, 3.0]]))
        self.points = torch.from_numpy(rng.uniform(-1, 1, (points, 3)) + origin)
        pose = torch.from_numpy(np.stack(poses))
        intrinsics = torch.tensor([[*FOCAL, 320.0, 240.0]]).double().expand(6, 4)
        self.views = Views.of(pose, intrinsics)
        in_camera = self.points @ pose[:, :, :3].mT + pose[:, None, :, 3]
        self.depth = in_camera[..., 2].T.contiguous()
        exact = in_camera[..., :2] / in_camera[..., 2:] * torch.tensor(FOCAL).double()
        self.pixels = exact.transpose(0, 1).contiguous()
        self.pixels += noise * torch.from_numpy(rng.normal(size=self.pixels.shape))
        self.view = torch.arange(6).expand(points, 6).clone()

    @property
    def seen(self) -> Sightings:
        return Sightings(self.view, self.pixels)


def scipy_point(views: Views, pixels_V2: np.ndarray, start: np.ndarray) -> np.ndarray:
    """The point of least sum of Cauchy's function, 2 px, of the reprojection errors."""
    rotation, shift = views.rotation_M33.numpy(), views.translation_M3.numpy()

    def errors(point: np.ndarray) -> np.ndarray:
        in_camera = rotation @ point + shift
        projected = in_camera[:, :2] / in_camera[:, 2:] * FOCAL
        return np.asarray(np.linalg.norm(projected - pixels_V2, axis=1))

    fit = least_squares(errors, start, loss="cauchy", f_scale=2.0, xtol=1e-14, ftol=1e-14)
    return np.asarray(fit.x)


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), FAR_AWAY])
def test_without_noise_the_points_are_exact(origin: tuple[float, ...]) -> None:
    ring = Ring(origin=origin)
    found = triangulate(ring.views, ring.seen, max_error=3.0)
    torch.testing.assert_close(found.points_T3, ring.points, atol=1e-6, rtol=0)
    assert found.inliers_TV.all()


@pytest.mark.parametrize("origin", [(0.0, 0.0, 0.0), FAR_AWAY])
def test_two_views_from_nearly_one_place_are_enough_without_noise(
    origin: tuple[float, ...],
) -> None:
    """Two degrees: half a percent of the depth at most is lost to the damping."""
    baseline = 2 * 3.0 * math.tan(math.radians(1.0))
    centres = torch.tensor([[0.0, 0.0, 0.0], [baseline, 0.0, 0.0]]).double()
    shift = torch.tensor(origin).double()
    point = torch.tensor([[baseline / 2, 0.2, 3.0]]).double()
    identity = torch.eye(3).double().expand(2, 3, 3)
    views = Views(identity, -(centres + shift), torch.tensor([FOCAL] * 2).double())
    from_camera = point - centres
    pixels = from_camera[:, :2] / from_camera[:, 2:] * views.focal_M2
    seen = Sightings(torch.tensor([[0, 1]]), pixels[None])
    found = triangulate(views, seen, max_error=3.0)
    torch.testing.assert_close(found.points_T3 - shift, point, atol=0.015, rtol=0)
    assert math.degrees(float(found.angle_T)) == pytest.approx(2.0, abs=0.02)


def test_with_noise_they_are_those_of_scipy() -> None:
    ring = Ring(points=8, noise=1.0)
    ring.pixels[:, 2] += torch.tensor([30.0, -20.0])  # an outlier
    found = triangulate(ring.views, ring.seen, max_error=10.0)
    for point, truth, pixels in zip(found.points_T3, ring.points, ring.pixels, strict=True):
        expected = scipy_point(ring.views, pixels.numpy(), truth.numpy())
        off = np.linalg.norm(expected - truth.numpy())
        assert np.linalg.norm(point.numpy() - expected) < 2e-4 < 0.2 * off


def test_a_sighting_of_something_else_is_no_inlier_and_does_no_harm() -> None:
    ring = Ring()
    ring.pixels[:, 4] += 40.0
    found = triangulate(ring.views, ring.seen, max_error=3.0)
    expected = torch.tensor([True, True, True, True, False, True]).expand(20, 6)
    assert torch.equal(found.inliers_TV, expected)
    torch.testing.assert_close(found.points_T3, ring.points, atol=1e-2, rtol=0)


def test_an_inlier_is_within_the_error_that_is_allowed() -> None:
    ring = Ring()
    ring.pixels[:, 4, 0] += 2.0
    for max_error, agrees in ((3.0, True), (1.0, False)):
        found = triangulate(ring.views, ring.seen, max_error=max_error)
        assert bool((found.inliers_TV[:, 4] == agrees).all())


def test_what_is_not_there_does_not_count() -> None:
    """Whatever pixels stand where there is no sighting; points of five and of two views."""
    ring = Ring()
    ring.view[:, 1] = -1
    ring.view[10:, 2:5] = -1
    ring.pixels[ring.view < 0] = 1e4
    found = triangulate(ring.views, ring.seen, max_error=3.0)
    torch.testing.assert_close(found.points_T3, ring.points, atol=1e-6, rtol=0)
    assert torch.equal(found.inliers_TV, ring.view >= 0)


def test_sightings_may_be_in_any_order() -> None:
    ring = Ring(noise=1.0)
    turned = Sightings(ring.view.flip(1), ring.pixels.flip(1))
    plain, other = (triangulate(ring.views, seen, max_error=3.0) for seen in (ring.seen, turned))
    torch.testing.assert_close(plain.points_T3, other.points_T3, atol=1e-4, rtol=0)
    assert torch.equal(plain.inliers_TV, other.inliers_TV.flip(1))


def test_behind_the_camera_is_no_inlier() -> None:
    """Three cameras before a point, and one that has it behind itself on its axis, at its pixel."""
    centres = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [0.0, 1, 0], [0.4, 0.3, 4.0]]).double()
    point = torch.tensor([[0.4, 0.3, 2.0]]).double()
    views = Views(
        torch.eye(3).double().expand(4, 3, 3), -centres, torch.tensor([FOCAL] * 4).double()
    )
    from_camera = point - centres
    pixels = from_camera[:, :2] / from_camera[:, 2:] * views.focal_M2
    found = triangulate(views, Sightings(torch.arange(4)[None], pixels[None]), max_error=3.0)
    torch.testing.assert_close(found.points_T3, point, atol=0.02, rtol=0)
    assert found.inliers_TV.tolist() == [[True, True, True, False]]


def test_rays_that_meet_behind_the_cameras_give_no_inliers() -> None:
    ring = Ring()
    mirrored = Views(
        ring.views.rotation_M33 * torch.tensor([[1.0], [1.0], [-1.0]]).double(),
        ring.views.translation_M3 * torch.tensor([1.0, 1.0, -1.0]).double(),
        ring.views.focal_M2,
    )
    found = triangulate(mirrored, Sightings(ring.view, -ring.pixels), max_error=3.0)
    assert not found.inliers_TV.any()


def test_one_sighting_with_depth_is_enough() -> None:
    ring = Ring()
    ring.view[:, 1:] = -1
    depth = torch.zeros(20, 6).double()
    depth[:, 0] = ring.depth[:, 0]
    seen = Sightings(ring.view, ring.pixels, depth)
    found = triangulate(ring.views, seen, max_error=3.0)
    torch.testing.assert_close(found.points_T3, ring.points, atol=1e-9, rtol=0)
    assert torch.equal(found.inliers_TV, ring.view >= 0)
    torch.testing.assert_close(found.angle_T, torch.zeros(20).double(), atol=1e-6, rtol=0)


def test_depth_and_pixels_share_the_error() -> None:
    """On the optical axes of two cameras at right angles, one of which measures depth wrong.

    Its depth says 3.03 m, the other's ray 3 m. With errors of 0.2 * focal length / 3.03 m px per
    metre for the one and of focal length / 3 m for the other, and both in Cauchy's function, the
    point is where the slopes of the two cancel.
    """
    focal = torch.full((2, 2), 500.0).double()
    sideways = Rotation.from_euler("y", 90, degrees=True).as_matrix()
    rotation = torch.stack([torch.eye(3).double(), torch.from_numpy(sideways)])
    translation = torch.tensor([[0.0, 0.0, 3.0], [0.0, 0.0, 3.0]]).double()
    depth = torch.tensor([[3.03, 0.0]]).double()
    seen = Sightings(torch.tensor([[0, 1]]), torch.zeros(1, 2, 2).double(), depth)
    views = Views(rotation, translation, focal)

    def slope(z: float, along: float) -> float:
        across = 500.0 / 3.0
        by_depth, by_pixel = along * (z - 0.03), across * z
        return along * by_depth / (1 + (by_depth / 2) ** 2) + across * by_pixel / (
            1 + (by_pixel / 2) ** 2
        )

    for weight in (0.1, 0.2):
        found = triangulate(views, seen, max_error=10.0, depth_weight=weight)
        z = float(found.points_T3[0, 2])
        assert 0.0 < z < 0.01
        along = 500.0 * weight / 3.03
        assert slope(0.99 * z, along) < 0 < slope(1.01 * z, along)


def test_without_depth_one_sighting_says_nothing_of_the_angle() -> None:
    ring = Ring()
    ring.view[:, 1:] = -1
    found = triangulate(ring.views, ring.seen, max_error=3.0)
    assert found.points_T3.isfinite().all()
    assert (found.angle_T < 1e-3).all()


def test_the_angle_is_that_between_the_rays() -> None:
    """A point a metre ahead of the middle between two cameras; a third in the middle is nothing."""
    for half_degrees in (1.0, 10.0, 40.0):
        side = math.tan(math.radians(half_degrees))
        centres = torch.tensor([[-side, 0.0, 0.0], [side, 0.0, 0.0], [0.0, 0.0, 0.0]]).double()
        views = Views(
            torch.eye(3).double().expand(3, 3, 3), -centres, torch.full((3, 2), 500.0).double()
        )
        pixels = 500.0 * torch.tensor([[[side, 0.0], [-side, 0.0], [0.0, 0.0]]]).double()
        for view in ([0, 1, -1], [0, 1, 2]):
            found = triangulate(views, Sightings(torch.tensor([view]), pixels), max_error=3.0)
            angle = math.degrees(float(found.angle_T))
            assert angle == pytest.approx(2 * half_degrees, rel=0.03)


def test_outliers_do_not_widen_the_angle() -> None:
    ring = Ring()
    ring.view[:, 3:] = -1
    plain = triangulate(ring.views, ring.seen, max_error=3.0).angle_T
    ring.view[:, 5] = 5
    ring.pixels[:, 5] += 200.0
    found = triangulate(ring.views, ring.seen, max_error=3.0)
    assert not found.inliers_TV[:, 5].any()
    torch.testing.assert_close(found.angle_T, plain, atol=0.01, rtol=0)


@pytest.mark.parametrize("width", [1, 4])
def test_no_points_are_no_error(width: int) -> None:
    ring = Ring()
    none = Sightings(torch.zeros(0, width).long(), torch.zeros(0, width, 2).double())
    found = triangulate(ring.views, none, max_error=3.0)
    assert found.points_T3.shape == (0, 3)
    assert found.inliers_TV.shape == (0, width)
    assert found.angle_T.shape == (0,)


def test_centres_are_where_the_cameras_are() -> None:
    ring = Ring()
    at_camera = (ring.views.rotation_M33 @ ring.views.centres_M3[..., None])[..., 0]
    torch.testing.assert_close(at_camera, -ring.views.translation_M3)
