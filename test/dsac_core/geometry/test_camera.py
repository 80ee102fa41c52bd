# SPDX-License-Identifier: Apache-2.0
"""The camera against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dsac_core.errors import CameraError
from dsac_core.geometry.camera import Camera

SIZE = {"width": 640, "height": 480}
PINHOLE = Camera(**SIZE, fx=525.0, fy=510.0, cx=318.0, cy=243.0)
DISTORTED = {
    "plumb_bob 4": ("plumb_bob", (-0.25, 0.08, 1e-3, -5e-4)),
    "plumb_bob 5": ("plumb_bob", (0.12, -0.25, 1e-3, -5e-4, 0.08)),
    "rational 8": ("rational_polynomial", (0.6, -2.4, 7e-4, -4e-4, 1.3, 0.5, -2.2, 1.2)),
    "rational 12": (
        "rational_polynomial",
        (0.1, -0.2, 7e-4, -4e-4, 0.1, 0.02, -0.1, 0.02, 1e-3, -1e-3, 5e-4, 2e-4),
    ),
    "rational 14": (
        "rational_polynomial",
        (0.1, -0.2, 7e-4, -4e-4, 0.1, 0.02, -0.1, 0.02, 1e-3, -1e-3, 5e-4, 2e-4, 0.01, -0.02),
    ),
    "equidistant": ("equidistant", (0.05, -0.01, 3e-3, -1e-3)),
}
PIXELS = np.stack(np.meshgrid(np.linspace(0, 639, 17), np.linspace(0, 479, 13)), -1).reshape(-1, 2)


def distorted_camera(name: str) -> Camera:
    model, coefficients = DISTORTED[name]
    return Camera(
        **SIZE,
        fx=525.0,
        fy=510.0,
        cx=318.0,
        cy=243.0,
        distortion_model=model,
        distortion=coefficients,
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"width": 0}, "size must be positive"),
        ({"height": -3}, "size must be positive"),
        ({"fx": 0.0}, "not calibrated"),
        ({"fy": -1.0}, "not calibrated"),
        ({"fx": float("nan")}, "not calibrated"),
        ({"cy": float("inf")}, "not calibrated"),
        ({"distortion_model": "thin_prism"}, "unknown distortion model 'thin_prism', known: none"),
        ({"distortion_model": "plumb_bob", "distortion": (0.1,) * 8}, "takes 4 or 5"),
        ({"distortion_model": "equidistant", "distortion": (0.1,) * 5}, "takes 4 "),
        ({"distortion": (0.1,)}, "takes 0"),
        ({"distortion_model": "plumb_bob", "distortion": (np.nan, 0, 0, 0)}, "finite"),
    ],
)
def test_what_cannot_be_a_calibration_is_refused(change: dict[str, object], words: str) -> None:
    good = {**SIZE, "fx": 525.0, "fy": 525.0, "cx": 320.0, "cy": 240.0}
    with pytest.raises(CameraError, match=words) as caught:
        Camera(**{**good, **change})
    assert "\n" not in str(caught.value)


def test_scaling_keeps_the_edges_of_the_image_in_place() -> None:
    """The image spans -0.5 ... width - 0.5, so the point at an edge stays at the edge."""
    half = PINHOLE.scaled(320, 120)
    points = np.array([[-0.3, -0.2, 1.0], [0.1, 0.4, 2.0], [0.0, 0.0, 1.0]])
    full_pixels = (points @ PINHOLE.matrix.T)[:, :2] / points[:, 2:]
    half_pixels = (points @ half.matrix.T)[:, :2] / points[:, 2:]
    np.testing.assert_allclose((full_pixels + 0.5) * [0.5, 0.25], half_pixels + 0.5)
    assert (half.width, half.height) == (320, 120)
    assert half.fx == 262.5
    back = half.scaled(640, 480)
    np.testing.assert_allclose(back.matrix, PINHOLE.matrix)


def test_scaled_camera_sees_the_resized_image() -> None:
    """cv2.resize of a blob: its centre moves as the principal point does."""
    y, x = np.mgrid[0:480, 0:640]
    blob = np.exp(-((x - 318.0) ** 2 + (y - 243.0) ** 2) / 200.0).astype(np.float32)
    small = cv2.resize(blob, (320, 240), interpolation=cv2.INTER_AREA)
    y, x = np.mgrid[0:240, 0:320]
    scaled = PINHOLE.scaled(320, 240)
    assert (small * x).sum() / small.sum() == pytest.approx(scaled.cx, abs=1e-3)
    assert (small * y).sum() / small.sum() == pytest.approx(scaled.cy, abs=1e-3)


@pytest.mark.parametrize("name", DISTORTED)
def test_distortion_is_that_of_opencv(name: str) -> None:
    camera = distorted_camera(name)
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.5, 0.5, (200, 2)), np.ones(200)])
    points *= rng.uniform(0.5, 5.0, (200, 1))
    coefficients = np.array(camera.distortion)
    zero = np.zeros(3)
    if camera.distortion_model == "equidistant":
        seen, _ = cv2.fisheye.projectPoints(
            points[:, None], zero, zero, camera.matrix, coefficients
        )
    else:
        seen, _ = cv2.projectPoints(points, zero, zero, camera.matrix, coefficients)
    ideal = (points @ camera.matrix.T)[:, :2] / points[:, 2:]
    np.testing.assert_allclose(camera.distort(ideal), seen[:, 0], atol=1e-9)


def test_rational_distortion_is_its_formula() -> None:
    """Brown's model written out (REP-104, OpenCV), so that OpenCV is not its own judge."""
    camera = distorted_camera("rational 8")
    k1, k2, p1, p2, k3, k4, k5, k6 = camera.distortion
    x, y = 0.21, -0.34
    r2 = x * x + y * y
    radial = (1 + k1 * r2 + k2 * r2**2 + k3 * r2**3) / (1 + k4 * r2 + k5 * r2**2 + k6 * r2**3)
    u = camera.fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + camera.cx
    v = camera.fy * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + camera.cy
    ideal = np.array([[camera.fx * x + camera.cx, camera.fy * y + camera.cy]])
    np.testing.assert_allclose(camera.distort(ideal), [[u, v]], atol=1e-9)


@pytest.mark.parametrize("name", DISTORTED)
def test_undistort_undoes_distort(name: str) -> None:
    camera = distorted_camera(name)
    ideal = camera.undistort(PIXELS)
    seen = np.isfinite(ideal).all(axis=1)
    assert seen.mean() > 0.9
    np.testing.assert_allclose(camera.distort(ideal[seen]), PIXELS[seen], atol=1e-3)


def test_without_distortion_pixels_stay_and_are_copied() -> None:
    for camera in (PINHOLE, Camera(640, 480, 525, 525, 320, 240, "plumb_bob", (0.0,) * 5)):
        ideal = camera.undistort(PIXELS)
        np.testing.assert_array_equal(ideal, PIXELS)
        assert not np.shares_memory(ideal, PIXELS)


@pytest.mark.parametrize(
    ("model", "coefficients"),
    [("plumb_bob", (-0.6, 0.0, 0.0, 0.0)), ("equidistant", (-0.4, 0.0, 0.0, 0.0))],
)
def test_pixels_that_no_ray_reaches_are_nan(model: str, coefficients: tuple[float, ...]) -> None:
    """With one coefficient k, x (1 + k x^2) has its maximum at x = sqrt(-1 / 3k)."""
    camera = Camera(640, 480, 300, 300, 320, 240, model, coefficients)
    turning = np.sqrt(-1 / (3 * coefficients[0]))
    farthest = 300 * turning * (1 + coefficients[0] * turning**2)
    pixels = np.array([[320 + 0.9 * farthest, 240], [320 + 1.1 * farthest, 240], [320, 240]])
    ideal = camera.undistort(pixels)
    assert np.isnan(ideal).all(axis=1).tolist() == [False, True, False]
    limit = np.tan(turning) if model == "equidistant" else turning
    assert ideal[0, 0] < 320 + 300 * limit  # the near branch, not the far one


@pytest.mark.parametrize("name", DISTORTED)
def test_no_pixels_are_no_error(name: str) -> None:
    """An image without a reliable cell comes to this."""
    camera = distorted_camera(name)
    assert camera.undistort(np.empty((0, 2))).shape == (0, 2)
    assert camera.distort(np.empty((0, 2))).shape == (0, 2)
