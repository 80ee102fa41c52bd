# SPDX-License-Identifier: Apache-2.0
"""What poses and cameras may have been meant, where they are not what was given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.checks.epipolar import Belief
from dsac_core.geometry.camera import NO_DISTORTION, Camera
from dsac_core.geometry.pose import interpolate, invert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from dsac_core.checks.sampled_views import SampledViews

    FloatArray = NDArray[np.float64]
    Making = Callable[[float], "Hypothesis"]

_LOG_FACTORS: FloatArray = np.linspace(-1.6, 1.6, 33)  # of a focal length, so up to 5 times
MOST_FRAMES = 15  # that poses may be out of step
# Right, down and forward are x, y and z of an optical frame (REP-103).
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])  # right, up, backward
_BODY = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)
_MIRROR = np.diag([1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Hypothesis:
    """A fault, the belief that mends it, and how the user mends it."""

    fault: str
    belief: Belief
    remedy: str
    value: float = 0.0  # what was scanned, where something was


@dataclass(frozen=True)
class Scan:
    """One number that is not known: tried over a range, then ever finer around the best."""

    values: FloatArray
    steps: tuple[float, ...]  # of the finer ones
    make: Making


def pose_conventions(given: Belief) -> Iterator[Hypothesis]:
    """Other meanings that the same matrices may have, likelier ones first."""
    poses = given.world_T_frame_N44
    yield Hypothesis(
        "inverted poses",
        replace(given, world_T_frame_N44=invert(poses)),
        "invert the poses: they map the world to the camera, and camera to world is needed",
    )
    opengl = "rotate the camera's axes: multiply each pose from the right by diag(1, -1, -1, 1)"
    yield Hypothesis(
        "OpenGL axes",
        replace(given, world_T_frame_N44=poses @ _OPENGL),
        f"{opengl}; y is up and z backward in them, and x right, y down, z forward is needed",
    )
    yield Hypothesis(
        "inverted poses with OpenGL axes",
        replace(given, world_T_frame_N44=invert(poses) @ _OPENGL),
        f"invert the poses, then {opengl}",
    )
    yield Hypothesis(
        "poses of the camera's body frame",
        replace(given, world_T_frame_N44=poses @ _BODY),
        "give the poses of the optical frame (x right, y down, z forward, REP-103): these are of a"
        " frame with x forward, y left, z up; of a bag, name their frame with --pose-frame, and"
        " /tf_static does it",
    )
    yield Hypothesis(
        "inverted poses of the camera's body frame",
        replace(given, world_T_frame_N44=invert(poses) @ _BODY),
        "invert the poses, and give those of the optical frame (x right, y down, z forward)",
    )
    yield Hypothesis(
        "left-handed axes",
        replace(given, world_T_frame_N44=_MIRROR @ poses @ _MIRROR),
        "convert the poses to right-handed axes: multiply each from the left and from the right by"
        " diag(1, -1, 1, 1)",
    )


def time_shift(given: Belief, sampled: SampledViews) -> Scan:
    """Poses that belong to images some frames earlier or later."""
    frames = np.arange(-MOST_FRAMES, MOST_FRAMES + 1, dtype=np.float64)
    run_N, stamp_N = sampled.run_N, sampled.stamp_N
    same = np.flatnonzero(np.diff(run_N) == 0)
    step = float(np.median(np.diff(stamp_N)[same])) if len(same) else 0.0

    def make(shift: float) -> Hypothesis:
        when = f"{abs(shift):g} frame{'s' if abs(shift) > 1 else ''} ({abs(shift) * step:.3g} s)"
        side = "later" if shift > 0 else "earlier"
        return Hypothesis(
            "poses and images out of step",
            replace(given, world_T_frame_N44=shifted(given.world_T_frame_N44, run_N, shift)),
            f"give each image the pose that now stands {when} {side}: let both take their stamps"
            " from one clock, or correct one of them by that time",
            shift,
        )

    return Scan(frames[frames != 0], (0.25,), make)


def shifted(poses_N44: FloatArray, run_N: NDArray[np.int64], shift: float) -> FloatArray:
    """For each frame the pose ``shift`` frames later in its run; NaN where the run has ended."""
    place = np.arange(len(poses_N44)) + shift
    low = np.floor(place).astype(np.int64)
    high = np.ceil(place).astype(np.int64)
    last = len(poses_N44) - 1
    there = (low >= 0) & (high <= last)
    low, high = low.clip(0, last), high.clip(0, last)
    there &= (run_N[low] == run_N) & (run_N[high] == run_N)
    there &= np.isfinite(poses_N44[low]).all(axis=(1, 2))
    there &= np.isfinite(poses_N44[high]).all(axis=(1, 2))
    moved = np.full_like(poses_N44, np.nan)
    for row in np.flatnonzero(there):
        before, after = poses_N44[low[row]], poses_N44[high[row]]
        fraction = place[row] - low[row]
        moved[row] = interpolate(before, after, fraction) if fraction else before
    return moved


def image_size(given: Belief) -> Scan:
    """A calibration matrix of the same image in another size."""

    def make(log_factor: float) -> Hypothesis:
        factor = float(np.exp(log_factor))
        return Hypothesis(
            "calibration for another image size",
            _with_cameras(given, lambda camera: _resized_matrix(camera, factor)),
            f"multiply fx, fy, cx and cy by {_in_words(factor)}: calibrate for the size of the"
            " images, or scale K with them",
            factor,
        )

    return Scan(_LOG_FACTORS, (0.03, 0.01), make)


def focal_length(given: Belief) -> Scan:
    """Another focal length, the principal point as it is."""

    def make(log_factor: float) -> Hypothesis:
        factor = float(np.exp(log_factor))
        fx = given.cameras[0].fx
        return Hypothesis(
            "wrong focal length",
            _with_cameras(given, lambda c: replace(c, fx=c.fx * factor, fy=c.fy * factor)),
            f"multiply fx and fy by {_in_words(factor)} ({fx:.0f} px becomes {fx * factor:.0f} px),"
            " or calibrate the camera",
            factor,
        )

    return Scan(_LOG_FACTORS, (0.03, 0.01), make)


def no_distortion(given: Belief) -> Iterator[Hypothesis]:
    """Images that were rectified already."""
    if any(camera.is_distorted for camera in given.cameras):
        yield Hypothesis(
            "distortion of rectified images",
            _with_cameras(
                given, lambda c: replace(c, distortion_model=NO_DISTORTION, distortion=())
            ),
            "give no distortion: the images are rectified already, or take the raw images",
        )


def fisheye(given: Belief) -> Iterator[Hypothesis]:
    """A fisheye lens."""
    yield Hypothesis(
        "wrong distortion model",
        _with_cameras(
            given, lambda c: replace(c, distortion_model="equidistant", distortion=(0.0,) * 4)
        ),
        "calibrate the lens with the model 'equidistant': it is a fisheye",
    )


def radial_distortion(given: Belief) -> Scan:
    """Another first coefficient of radial distortion, and no others."""
    distorted = any(camera.is_distorted for camera in given.cameras)

    def make(k1: float) -> Hypothesis:
        return Hypothesis(
            "wrong distortion" if distorted else "missing distortion",
            _with_cameras(
                given,
                lambda c: replace(c, distortion_model="plumb_bob", distortion=(k1, 0.0, 0.0, 0.0)),
            ),
            f"calibrate the lens (plumb_bob with k1 = {k1:.2f} fits best), or rectify the images",
            k1,
        )

    values = np.arange(-0.6, 0.61, 0.05)
    return Scan(values[np.abs(values) > 1e-6], (0.02,), make)


def _with_cameras(given: Belief, change: Callable[[Camera], Camera]) -> Belief:
    changed = {camera: change(camera) for camera in set(given.cameras)}
    return replace(given, cameras=tuple(changed[camera] for camera in given.cameras))


def _resized_matrix(camera: Camera, factor: float) -> Camera:
    return replace(
        camera,
        fx=camera.fx * factor,
        fy=camera.fy * factor,
        cx=(camera.cx + 0.5) * factor - 0.5,
        cy=(camera.cy + 0.5) * factor - 0.5,
    )


def _in_words(factor: float) -> str:
    """The factor, as a fraction of small numbers where it is near one."""
    near = Fraction(factor).limit_denominator(4)
    if near > 0 and near != 1 and abs(factor / float(near) - 1.0) < 0.03:
        return f"{float(near):.3g}"
    return f"{factor:.2f}"
