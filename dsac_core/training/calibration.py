# SPDX-License-Identifier: Apache-2.0
"""What frames held out of training say about a map: when to believe it, and how exactly."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from dsac_core.errors import DatasetError
from dsac_core.geometry.pose import pose_error
from dsac_core.geometry.pose_error import pose_error_vector
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.confidence import (
    USABLE_ROTATION,
    USABLE_TRANSLATION,
    Evidence,
    position_deviation,
)
from dsac_core.training.fit_confidence import fit_confidence
from dsac_core.training.fit_covariance import (
    CheckedPose,
    fit_covariance,
    normalised_error_left_out,
)
from dsac_core.training.hard_views import hard_view, mirrored
from dsac_core.training.landmark_weight import weigh_landmarks

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch
    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.progress import Progress
    from dsac_core.relocalizer import PoseEstimate
    from dsac_core.scene.scene_map import Calibration, SceneMap

_LOWEST_SUPPORT = 0.05  # whatever the frames say, fewer agreeing cells are chance
_MARGIN = 1.3  # of chance: few frames do not show the worst of it
_HIGHEST_SUPPORT = 0.9


class _Check(NamedTuple):
    """An estimate beside the truth."""

    estimate: PoseEstimate
    distance: float = math.inf  # metres; infinite without a pose, or where there is no truth
    angle: float = math.inf  # radians
    error: NDArray[np.float64] | None = None  # 6: as the covariance has it

    @property
    def right(self) -> bool:
        return self.distance <= USABLE_TRANSLATION and self.angle <= USABLE_ROTATION

    def evidence(self, calibration: Calibration) -> Evidence:
        """With the certainty that ``calibration`` makes of the covariance."""
        estimate, sigma = self.estimate, math.inf
        if estimate.covariance is not None:
            sigma = position_deviation(calibration.honest(estimate.covariance))
        return Evidence(estimate.support, estimate.spread, sigma)


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
    scene = weigh_landmarks(scene, held_out, device, progress)
    provisional = scene.calibration
    with_depth = [frame for frame in held_out if frame.depth is not None]
    relocalizer = Relocalizer(scene, device=str(device))
    count = 3 * (len(held_out) + len(with_depth))
    done = 0

    def relocalize(frame: Frame, depth: NDArray[np.float32] | None) -> PoseEstimate:
        nonlocal done
        done += 1
        progress("checking", done / count, f"held-out view {done}/{count}")
        return relocalizer(frame.image, frame.camera, depth)

    by_colour = calibrate(provisional, held_out, lambda frame: relocalize(frame, None))
    by_depth = None
    if with_depth:
        provisional = scene.depth_calibration or provisional
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
    strict = replace(fit_covariance(scene.calibration, []), min_support=_HIGHEST_SUPPORT)
    calibration, record = by_colour or (strict, {"held_out_localized_10cm_5deg": 0})
    finished = datetime.now(timezone.utc).isoformat(timespec="seconds")
    training = {
        **scene.training,
        "finished": finished,
        "held_out_frames": len(held_out),
        **record,
    }
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

    Each is seen straight, once made harder, and in a mirror. A mirror image has everything that an
    image of this kind of place has, except that no pose explains it; so it shows how many cells
    agree by chance. The covariance is fitted to the straight views, the confidence to all.

    Args:
        provisional: The calibration that ``relocalize`` works with; its scale must be one, its
            floors zero.
        frames: Held-out frames.
        relocalize: Estimates the pose of a frame with the map.

    Returns:
        The calibration, and the figures behind it for the map's record; None where no frame was
        localized well.
    """
    straight = [_check(relocalize(frame), frame) for frame in frames]
    harder = [hard_view(frame, index) for index, frame in enumerate(frames)]
    hard = [_check(relocalize(view), view) for view in harder]
    mirrors = [_Check(relocalize(mirrored(frame))) for frame in frames]
    good = [check for check in straight if check.right]
    if not good:
        return None
    poses = [CheckedPose(c.error, c.estimate.covariance) for c in good]  # type: ignore[arg-type]
    calibration = fit_covariance(provisional, poses)
    seen = [*straight, *hard, *mirrors]
    confidence = fit_confidence(
        [check.evidence(calibration) for check in seen], [check.right for check in seen]
    )
    chance = max(check.estimate.support for check in mirrors)
    weak_good = float(np.quantile([check.estimate.support for check in good], 0.1))
    # Where a place looks like its mirror image, chance is no measure.
    least = max(min(_MARGIN * chance, 0.5 * weak_good), _LOWEST_SUPPORT)
    calibration = replace(calibration, min_support=least, confidence=confidence)

    def localized(checks: list[_Check]) -> int:
        return sum(calibration.localizes(check.evidence(calibration)) for check in checks)

    record = {
        "held_out_views": len(frames),
        "held_out_localized_10cm_5deg": len(good),
        "held_out_localized": localized(straight),
        "mirror_images_localized": localized(mirrors),
        "held_out_normalised_error": round(normalised_error_left_out(provisional, poses), 2),
        "support_of_good_poses_q10": round(weak_good, 4),
        "support_of_mirror_images_max": round(chance, 4),
    }
    distance = float(np.median([check.distance for check in straight]))
    if math.isfinite(distance):
        angle = float(np.median([check.angle for check in straight]))
        record["held_out_median_cm"] = round(100.0 * distance, 2)
        record["held_out_median_deg"] = round(math.degrees(angle), 2)
    return calibration, record


def _check(estimate: PoseEstimate, frame: Frame) -> _Check:
    if estimate.world_T_cam is None or estimate.covariance is None:
        return _Check(estimate)
    if not np.isfinite(estimate.covariance).all():
        return _Check(replace(estimate, covariance=None))
    distance, angle = pose_error(estimate.world_T_cam, frame.world_T_cam)
    error = pose_error_vector(estimate.world_T_cam, frame.world_T_cam)
    return _Check(estimate, distance, angle, error)
