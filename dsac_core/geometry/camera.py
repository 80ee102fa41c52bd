# SPDX-License-Identifier: Apache-2.0
"""The camera: full pinhole intrinsics and the distortion models of ROS (REP-104)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dsac_core.errors import CameraError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NO_DISTORTION = "none"
COEFFICIENT_COUNTS = {
    NO_DISTORTION: (0,),
    "plumb_bob": (4, 5),
    "rational_polynomial": (8, 12, 14),
    "equidistant": (4,),
}


@dataclass(frozen=True)
class Camera:
    """Intrinsics of one image.

    Pixel (0, 0) has its centre at (0, 0), as in ROS and OpenCV.

    Raises:
        CameraError: A focal length or size is not positive, or the distortion does not fit.
    """

    width: int  # pixels
    height: int  # pixels
    fx: float  # focal lengths, pixels
    fy: float
    cx: float  # principal point, pixels
    cy: float
    distortion_model: str = NO_DISTORTION  # a key of COEFFICIENT_COUNTS
    distortion: tuple[float, ...] = ()  # coefficients in OpenCV's order

    def __post_init__(self) -> None:
        """Refuse what cannot be a calibration."""
        if self.width <= 0 or self.height <= 0:
            msg = f"camera: the image size must be positive, got {self.width}x{self.height}"
            raise CameraError(msg)
        if not (np.isfinite([self.fx, self.fy, self.cx, self.cy]).all() and self.fx > 0 < self.fy):
            msg = (
                f"camera is not calibrated: fx={self.fx}, fy={self.fy}, cx={self.cx}, cy={self.cy};"
                " calibrate it and publish K in its CameraInfo"
            )
            raise CameraError(msg)
        counts = COEFFICIENT_COUNTS.get(self.distortion_model)
        if counts is None:
            known = ", ".join(COEFFICIENT_COUNTS)
            msg = f"camera: unknown distortion model '{self.distortion_model}', known: {known}"
            raise CameraError(msg)
        if len(self.distortion) not in counts:
            msg = (
                f"camera: model '{self.distortion_model}' takes {' or '.join(map(str, counts))}"
                f" coefficients, got {len(self.distortion)}"
            )
            raise CameraError(msg)
        if not np.isfinite(self.distortion).all():
            msg = f"camera: distortion coefficients must be finite, got {self.distortion}"
            raise CameraError(msg)

    @property
    def matrix(self) -> FloatArray:
        """The calibration matrix K [3 x 3]."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def is_distorted(self) -> bool:
        """Whether the image differs from that of a pinhole.

        An equidistant lens does so even with all coefficients zero: its radius is f theta.
        """
        fisheye = self.distortion_model == "equidistant"
        return fisheye or any(coefficient != 0.0 for coefficient in self.distortion)

    def scaled(self, width: int, height: int) -> Camera:
        """The camera of the same image resized to ``width`` x ``height`` pixels."""
        scale_x, scale_y = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * scale_x,
            fy=self.fy * scale_y,
            cx=(self.cx + 0.5) * scale_x - 0.5,
            cy=(self.cy + 0.5) * scale_y - 0.5,
        )

    def undistort(self, pixels_N2: FloatArray) -> FloatArray:
        """Where pixels [N x 2] of the distorted image lie in the ideal pinhole image of the same K.

        A pixel that no ray of the model reaches comes back as NaN.
        """
        if not self.is_distorted or len(pixels_N2) == 0:  # OpenCV refuses empty arrays
            return np.array(pixels_N2, dtype=np.float64)
        import cv2

        points = np.ascontiguousarray(pixels_N2, dtype=np.float64).reshape(-1, 1, 2)
        coefficients = np.asarray(self.distortion, dtype=np.float64)
        criteria = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 50, 1e-10)
        if self.distortion_model == "equidistant":
            ideal = cv2.fisheye.undistortPoints(
                points, self.matrix, coefficients, P=self.matrix, criteria=criteria
            )
        else:
            # OpenCV 5 merged the variant with a stopping criterion into the plain one.
            undistort: Any = getattr(cv2, "undistortPointsIter", cv2.undistortPoints)
            ideal = undistort(
                points, self.matrix, coefficients, R=None, P=self.matrix, criteria=criteria
            )
        return self._unless_folded(np.asarray(ideal[:, 0]), points[:, 0])

    def distort(self, pixels_N2: FloatArray) -> FloatArray:
        """Where pixels [N x 2] of the ideal pinhole image lie in the distorted image."""
        if not self.is_distorted or len(pixels_N2) == 0:
            return np.array(pixels_N2, dtype=np.float64)
        import cv2

        normalised = (pixels_N2 - [self.cx, self.cy]) / [self.fx, self.fy]
        coefficients = np.asarray(self.distortion, dtype=np.float64)
        if self.distortion_model == "equidistant":
            distorted = cv2.fisheye.distortPoints(normalised[:, None], self.matrix, coefficients)
        else:
            rays = np.column_stack([normalised, np.ones(len(normalised))])
            distorted, _ = cv2.projectPoints(
                rays, np.zeros(3), np.zeros(3), self.matrix, coefficients
            )
        return np.asarray(distorted, dtype=np.float64)[:, 0]

    def _unless_folded(self, ideal: FloatArray, pixels: FloatArray) -> FloatArray:
        """The iteration diverges where the polynomial folds back: such pixels become NaN."""
        reached = np.abs(self.distort(ideal) - pixels).max(axis=1) < 0.5
        return np.where(reached[:, None], ideal, np.nan)
