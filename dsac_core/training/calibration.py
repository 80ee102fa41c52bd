# SPDX-License-Identifier: Apache-2.0
"""What frames held out of training say about a map: when to believe it, and how exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import pose_error
from dsac_core.relocalizer import Relocalizer

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.progress import Progress
    from dsac_core.relocalizer import PoseEstimate
    from dsac_core.scene.scene_map import Calibration, SceneMap

DEGREES_OF_FREEDOM = 6
USABLE_TRANSLATION = 0.10  # metres: a pose this good is one to be called localized
USABLE_ROTATION = math.radians(5.0)
_LOWEST_SUPPORT = 0.05  # whatever the frames say, fewer agreeing cells are chance
_HIGHEST_SUPPORT = 0.9
_CLIPPED_NEES = 2000.0  # so that one wild pose does not decide the scale
# Few held-out frames say little, so the scale starts as if some had been seen already: neighbouring
# cells err together, which made residuals look some thirty times too certain in the rooms measured.
_PRIOR_NEES = 30.0 * DEGREES_OF_FREEDOM
_PRIOR_FRAMES = 3


def calibrate_map(
    scene: SceneMap, held_out: list[Frame], device: torch.device, progress: Progress
) -> SceneMap:
    """The map with what frames held out of its training taught, with depth too where they have it.

    Args:
        scene: With provisional calibrations, whose scale is one.
        held_out: The frames.
        device: Where to relocalize them.
        progress: Is told how far it is.

    Raises:
        DatasetError: None of the frames was localized well: there is no map to speak of.
    """
    provisional = scene.calibration
    with_depth = [frame for frame in held_out if frame.depth is not None]
    relocalizer = Relocalizer(replace(scene, depth_calibration=provisional), device=str(device))
    count = 2 * (len(held_out) + len(with_depth))
    done = 0

    def relocalize(frame: Frame, depth: NDArray[np.float32] | None) -> PoseEstimate:
        nonlocal done
        done += 1
        progress("checking", done / count, f"held-out view {done}/{count}")
        return relocalizer(frame.image, frame.camera, depth)

    by_colour = calibrate(provisional, held_out, lambda frame: relocalize(frame, None))
    by_depth = None
    if with_depth:
        by_depth = calibrate(provisional, with_depth, lambda frame: relocalize(frame, frame.depth))
    if by_colour is None and by_depth is None:
        msg = (
            "no held-out frame was localized within 10 cm and 5 degrees, so this map would be"
            " useless; train it for longer, and check the recording: are the poses those of the"
            " camera, in metres, in step with the images, and the calibration that of the image"
            " size?"
        )
        raise DatasetError(msg)
    # Colour alone that localized nothing is to be believed in the clearest cases only.
    strict = replace(provisional, min_support=_HIGHEST_SUPPORT)
    calibration, record = by_colour or (strict, {"held_out_localized_10cm_5deg": 0})
    training = {**scene.training, "held_out_frames": len(held_out), **record}
    if by_depth is not None:
        training |= {f"{key}_with_depth": value for key, value in by_depth[1].items()}
    return replace(
        scene,
        calibration=calibration,
        depth_calibration=None if by_depth is None else by_depth[0],
        training=training,
    )


def calibrate(
    provisional: Calibration,
    frames: list[Frame],
    relocalize: Callable[[Frame], PoseEstimate],
) -> tuple[Calibration, dict[str, float]] | None:
    """Calibrate a map on frames that it was not trained on.

    The threshold of "localized" lies between the support of good poses and that of the same
    images seen in a mirror. A mirror image has everything that an image of this kind of place has,
    except that no pose explains it; so it shows how many cells agree by chance.

    Args:
        provisional: The calibration that ``relocalize`` works with; its scale must be one.
        frames: Held-out frames.
        relocalize: Estimates the pose of a frame with the map.

    Returns:
        The calibration, and the figures behind it for the map's record; None where no frame was
        localized well.
    """
    good, by_chance, squared_errors = [], [], []
    for frame in frames:
        estimate = relocalize(frame)
        by_chance.append(relocalize(mirrored(frame)).support)
        if estimate.world_T_cam is None or estimate.covariance is None:
            continue
        if not np.isfinite(estimate.covariance).all():
            continue
        distance, angle = pose_error(estimate.world_T_cam, frame.world_T_cam)
        if distance < USABLE_TRANSLATION and angle < USABLE_ROTATION:
            good.append(estimate.support)
            squared_errors.append(normalised_error_squared(estimate, frame.world_T_cam))
    if not good:
        return None
    chance = max(float(np.max(by_chance)), _LOWEST_SUPPORT)
    weak_good = float(np.quantile(good, 0.1))
    # Nearer to chance (geometrically), for views farther from training agree less than these.
    threshold = min(chance * max(weak_good / chance, 1.0) ** 0.2, _HIGHEST_SUPPORT)
    nees = [*np.minimum(squared_errors, _CLIPPED_NEES), *[_PRIOR_NEES] * _PRIOR_FRAMES]
    scale = float(np.mean(nees)) / DEGREES_OF_FREEDOM
    record = {
        "held_out_localized_10cm_5deg": len(good),
        "support_of_good_poses_q10": round(weak_good, 4),
        "support_of_mirror_images_max": round(float(np.max(by_chance)), 4),
    }
    return replace(provisional, min_support=threshold, covariance_scale=scale), record


def normalised_error_squared(estimate: PoseEstimate, truth: NDArray[np.float64]) -> float:
    """e^T C^-1 e of a pose with covariance: chi-square of six degrees of freedom if C is honest."""
    assert estimate.world_T_cam is not None
    assert estimate.covariance is not None
    turn = Rotation.from_matrix(truth[:3, :3] @ estimate.world_T_cam[:3, :3].T).as_rotvec()
    error = np.concatenate([truth[:3, 3] - estimate.world_T_cam[:3, 3], turn])
    return float(error @ np.linalg.solve(estimate.covariance, error))


def mirrored(frame: Frame) -> Frame:
    """The frame as seen in a mirror: an image of this place that no pose explains."""
    camera = replace(frame.camera, cx=frame.camera.width - 1 - frame.camera.cx)
    image = np.ascontiguousarray(frame.image[:, ::-1])
    depth = None if frame.depth is None else np.ascontiguousarray(frame.depth[:, ::-1])
    return replace(frame, image=image, camera=camera, depth=depth)
