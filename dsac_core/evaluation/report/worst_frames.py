# SPDX-License-Identifier: Apache-2.0
"""The frames that went worst, seen once more: image, scene coordinates, and what went wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dsac_core.evaluation.report.bands import PIXEL_STEPS
from dsac_core.geometry.images import resize, to_gray
from dsac_core.geometry.pose import from_quaternion, invert
from dsac_core.progress import silent
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Dataset, Frame
    from dsac_core.evaluation.metrics import FrameResult, Pose7
    from dsac_core.geometry.camera import Camera
    from dsac_core.progress import Progress
    from dsac_core.relocalizer import Relocalizer

HOW_MANY = 10
FITS = 10.0  # px: a scene point that is reprojected no further off agrees
_IMAGE_WIDTH, _JPEG_QUALITY = 480, 68
_APART = 15  # frames, of a long recording
_MOST_DRAWN = 700  # of an image's correspondences


@dataclass(frozen=True)
class Reprojections:
    """Scene points of one image, projected with one pose, where they can be drawn."""

    pixels_M2: NDArray[np.float64]  # of the image as shown
    projected_M2: NDArray[np.float64]
    errors_M: NDArray[np.float64]  # px of the image as taken
    share_that_fits: float  # of all correspondences, not only those drawn


@dataclass(frozen=True)
class WorstFrame:
    """One frame, seen once more."""

    result: FrameResult
    jpeg: bytes
    size: tuple[int, int]  # width and height of the image as shown
    brightness: float  # mean gray value, 0 to 255
    by_truth: Reprojections
    by_estimate: Reprojections | None  # None without a pose


def worst_first(frames: Sequence[FrameResult], count: int = HOW_MANY) -> list[int]:
    """Indices of the worst frames: localized falsely, then silent, then inexact; worst first.

    Neighbours of a chosen frame are alike, so they come only where there are no others.
    """

    def badness(index: int) -> tuple[int, float]:
        frame = frames[index]
        size = max(
            frame.translation_error / USABLE_TRANSLATION, frame.rotation_error / USABLE_ROTATION
        )
        if frame.false:
            return 2, size
        return (0, size) if frame.localized else (1, -frame.confidence)

    ranked = sorted(range(len(frames)), key=badness, reverse=True)
    apart = min(_APART, len(frames) // (2 * count))
    chosen: list[int] = []
    for index in ranked:
        if len(chosen) < count and all(abs(index - other) > apart for other in chosen):
            chosen.append(index)
    chosen += [index for index in ranked if index not in chosen][: count - len(chosen)]
    return [index for index in ranked if index in chosen]


def look_again(
    relocalizer: Relocalizer,
    dataset: Dataset,
    split: str,
    frames: Sequence[FrameResult],
    progress: Progress = silent,
    *,
    with_depth: bool = False,
) -> list[WorstFrame]:
    """The worst frames of a run over ``split``, read again, so that no image had to be kept."""
    chosen = worst_first(frames)
    seen = {}
    again = dataset.frames(split, indices=set(chosen), with_depth=with_depth)
    for index, frame in zip(sorted(chosen), again, strict=True):
        seen[index] = _look(relocalizer, frame, frames[index])
        progress("drawing the worst frames", len(seen) / len(chosen), frame.name)
    return [seen[index] for index in chosen]


def _look(relocalizer: Relocalizer, frame: Frame, result: FrameResult) -> WorstFrame:
    import cv2

    camera = frame.camera
    width = min(_IMAGE_WIDTH, camera.width)
    shown = camera.scaled(width, max(1, round(camera.height * width / camera.width)))
    small = resize(frame.image, shown.width, shown.height)
    bgr = np.ascontiguousarray(small[..., ::-1])
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    used = relocalizer.correspondences(frame.image, camera, frame.depth)
    usable = (used.weights_BN[0] > 0).cpu().numpy()
    rays_N2 = (used.pixels_BN2[0] / used.focal_B2[0]).cpu().double().numpy()[usable]
    points_N3 = used.points_BN3[0].cpu().double().numpy()[usable]
    map_T_scene = relocalizer.scene.map_T_scene
    points_N3 = points_N3 @ map_T_scene[:3, :3].T + map_T_scene[:3, 3]

    def by(pose: Pose7) -> Reprojections:
        return reprojections(rays_N2, points_N3, pose, camera, shown)

    assert result.truth is not None
    return WorstFrame(
        result=result,
        jpeg=jpeg.tobytes(),
        size=(shown.width, shown.height),
        brightness=float(to_gray(small).mean()),
        by_truth=by(result.truth),
        by_estimate=None if result.pose is None else by(result.pose),
    )


def reprojections(
    rays_N2: NDArray[np.float64],
    points_N3: NDArray[np.float64],
    pose: Pose7,
    camera: Camera,
    shown: Camera,
) -> Reprojections:
    """Scene points as a camera at ``pose`` would see them, beside where they were seen.

    Args:
        rays_N2: Where they were seen: x / z, y / z, without distortion.
        points_N3: In the map, metres.
        pose: Of the camera in the map.
        camera: Of the image, in whose pixels errors are.
        shown: Of the image as shown.
    """
    cam_T_map = invert(from_quaternion(pose[:3], pose[3:]))
    in_camera = points_N3 @ cam_T_map[:3, :3].T + cam_T_map[:3, 3]
    front = in_camera[:, 2] > 0.05
    ahead = in_camera[:, :2] / np.where(front, in_camera[:, 2], 1.0)[:, None]
    focal = np.array([camera.fx, camera.fy])
    errors = np.where(front, np.linalg.norm((ahead - rays_N2) * focal, axis=1), math.inf)
    fits = float(np.mean(errors <= FITS)) if len(errors) else 0.0
    drawn = np.flatnonzero(front)
    drawn = drawn[np.linspace(0, len(drawn) - 1, min(len(drawn), _MOST_DRAWN)).astype(int)]

    def in_image(rays_M2: NDArray[np.float64]) -> NDArray[np.float64]:
        centre = np.array([shown.cx, shown.cy])
        return shown.distort(rays_M2 * [shown.fx, shown.fy] + centre)

    # A lens says nothing of rays far outside of its image: the line only has to point there.
    near = rays_N2[drawn] + _shortened(ahead[drawn] - rays_N2[drawn])
    return Reprojections(in_image(rays_N2[drawn]), in_image(near), errors[drawn], fits)


def _shortened(steps_M2: NDArray[np.float64], longest: float = 0.08) -> NDArray[np.float64]:
    lengths = np.linalg.norm(steps_M2, axis=1, keepdims=True)
    return np.asarray(steps_M2 * np.minimum(1.0, longest / np.maximum(lengths, 1e-12)))


def overlay(view: Reprojections) -> str:
    """SVG paths, one for each step of the reprojection error: dots, and lines to where they go."""
    step_M = np.searchsorted(PIXEL_STEPS, view.errors_M)
    parts = []
    for step in range(len(PIXEL_STEPS), -1, -1):  # the good ones on top
        chosen = step_M == step
        if not chosen.any():
            continue
        lines, dots = [], []
        pairs = zip(view.pixels_M2[chosen], view.projected_M2[chosen], strict=True)
        for (x, y), (to_x, to_y) in pairs:
            dots.append(f"M{x:.0f} {y:.0f}h0")
            if step:
                lines.append(f"M{x:.0f} {y:.0f}L{to_x:.0f} {to_y:.0f}")
        parts.append(f'<path class="to p{step}" d="{"".join(lines)}"/>' if lines else "")
        parts.append(f'<path class="at p{step}" d="{"".join(dots)}"/>')
    return "".join(parts)
