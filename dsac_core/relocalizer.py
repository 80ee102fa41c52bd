# SPDX-License-Identifier: Apache-2.0
"""Image in, pose out: the one door through which everything else comes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.errors import CameraError, ConfigError
from dsac_core.geometry.pose import invert, rotate_covariance
from dsac_core.landmarks.lead import landmark_lead, weight_in_view
from dsac_core.networks.coordinate_head import CoordinateHead
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.estimate import RansacResult, estimate_poses, refine_poses, score_poses
from dsac_core.regression import Regressed, Sources, make_regressor
from dsac_core.scene.confidence import Evidence, position_deviation

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dsac_core.geometry.camera import Camera
    from dsac_core.ransac.correspondences import Correspondences
    from dsac_core.scene.scene_map import Calibration, SceneMap

DEFAULT_RANSAC = RansacConfig(robust_scale=3.0)
DEFAULT_MAX_CELLS = 2500  # of an image, with a fast map
DEFAULT_DEPTH_RANSAC = RansacConfig(inlier_threshold=0.1, robust_scale=0.03)
_LEAST_SHARE_OF_CELLS = 0.1  # of an image: as if so many were usable, when fewer are
_LEAST_PIXELS = 0.5  # thresholds in px are larger, those in metres smaller
_BLOCKS = 4  # along each side of an image, to see how inliers are spread
_LEAST_IN_BLOCK = 3  # inliers
_SAME_PROPORTIONS = 0.02  # of the height: sizes are rounded
_MUCH_HEAVIER = 3.0  # landmarks of less more weight give hardly another pose
_LEAST_SHARE_WITH_DEPTH = 0.1  # of the cells: with less, colour says more


@dataclass(frozen=True)
class PoseEstimate:
    """Where the camera is, and how far to believe it."""

    world_T_cam: NDArray[np.float64] | None  # 4 x 4, optical frame in the map; None if none found
    covariance: NDArray[np.float64] | None  # 6 x 6, REP-103 order, fixed axes of the map
    localized: bool  # the map's own judgement
    inliers: int  # of cells and of landmarks
    correspondences: int
    score: float  # soft inlier count over correspondences, in [0, 1]
    reason: str  # in words
    support: float = 0.0  # share of the cells that agree
    spread: float = 0.0  # share of the image's blocks that hold agreeing cells
    confidence: float = 0.0  # probability that the pose is within 10 cm and 5 degrees
    landmark_inliers: int = 0  # how many of the inliers are landmarks
    timings: dict[str, float] = field(default_factory=dict)  # seconds by stage


class Relocalizer:
    """Relocalizes single images in one scene map.

    The same image gives the same pose: RANSAC starts from the same seed for each image.
    """

    def __init__(
        self,
        scene: SceneMap,
        *,
        device: str = "cpu",
        ransac: RansacConfig | None = None,
        depth_ransac: RansacConfig | None = None,
        max_cells: int = DEFAULT_MAX_CELLS,
        use: Sources = "both",
    ) -> None:
        """Load the networks.

        Args:
            scene: The map.
            device: ``cpu``, ``cuda``, ``cuda:N``, or ``auto`` for CUDA where it works.
            ransac: Settings; by default those of DSAC*, with robust weights at the end, and for
                its networks with thresholds for the height of the images that they learned from.
            depth_ransac: The same for images with depth.
            max_cells: A fast map uses at most so many of an image: the most reliable ones. Of the
                4800 cells of a 640x480 image the other half costs a third of the time and adds
                hardly anything to the pose.
            use: What poses are estimated from, of what the map has: regressed cells, landmarks,
                or both. A map's calibration is that of both.

        Raises:
            ConfigError: The device is not to be had, or the map has not what is to be used.
        """
        self.scene = scene
        self.device = choose_device(device)
        self._ransac = ransac or _default_ransac(scene)
        self._depth_ransac = depth_ransac or DEFAULT_DEPTH_RANSAC
        self._regressor = make_regressor(scene, self.device, max_cells, use)

    def __call__(
        self,
        image: NDArray[np.uint8],
        camera: Camera,
        depth: NDArray[np.float32] | None = None,
        *,
        prior: NDArray[np.float64] | None = None,
    ) -> PoseEstimate:
        """Estimate the pose of the camera that took ``image``.

        Args:
            image: H x W x 3 (RGB) or H x W (gray), uint8.
            camera: Its calibration, for exactly this image size.
            depth: H x W of any size, metres along the optical axis, registered to the image; 0,
                NaN and infinity are none. It is used where it has the image's proportions, the map
                was checked with depth, and enough of it is there; else the estimate's reason says
                that it was not.
            prior: world_T_cam [4 x 4] that is expected, as from odometry: one more hypothesis,
                and a reason to search for less long where the image agrees with it.

        Raises:
            CameraError: The calibration is for another image size.
        """
        prior_B34 = None
        if prior is not None:
            cam_T_world = invert(invert(self.scene.map_T_scene) @ prior)
            prior_B34 = torch.from_numpy(cam_T_world[None, :3])
        depth, misfit = _fitting(depth, camera)
        regressed = self._regress(image, camera, depth)
        regressed_at = time.perf_counter()
        correspondences, calibration, ransac, remark = self._with_or_without_depth(
            regressed, given=depth is not None
        )
        remark = misfit or remark
        scorer = regressed.scorer
        # A score CNN knows residuals in px or in metres; its threshold, px or 0.1 m, says which.
        in_metres = correspondences.camera_points_BN3 is not None
        if scorer is not None and (scorer.inlier_threshold < _LEAST_PIXELS) != in_metres:
            scorer = None

        generator = torch.Generator().manual_seed(0)
        with torch.inference_mode():
            result = estimate_poses(
                correspondences, ransac, generator, prior_B34=prior_B34, scorer=scorer
            )
            weight = _landmark_weight_in_view(result, correspondences, calibration)
            if weight > _MUCH_HEAVIER * calibration.landmark_weight:
                heavier = regressed.correspondences(with_depth=in_metres, landmark_weight=weight)
                again = refine_poses(heavier, result.cam_T_world_B34, ransac, settled=True)
                if again.found_B[0]:
                    # Judged by the map's own weight, so that views can be compared.
                    score_B = score_poses(correspondences, again.cam_T_world_B34, ransac)
                    result = replace(again, score_B=score_B)
        timings = {**regressed.timings, "ransac": time.perf_counter() - regressed_at}
        estimate = self._judge(result, calibration, correspondences, regressed, timings)
        return replace(estimate, reason=f"{estimate.reason}; {remark}") if remark else estimate

    def correspondences(
        self, image: NDArray[np.uint8], camera: Camera, depth: NDArray[np.float32] | None = None
    ) -> Correspondences:
        """What the pose of an image is estimated from, in the frame before ``map_T_scene``.

        Arguments and errors are those of a call.
        """
        depth, _ = _fitting(depth, camera)
        regressed = self._regress(image, camera, depth)
        return self._with_or_without_depth(regressed, given=depth is not None)[0]

    def _regress(
        self, image: NDArray[np.uint8], camera: Camera, depth: NDArray[np.float32] | None
    ) -> Regressed:
        if image.shape[:2] != (camera.height, camera.width):
            msg = (
                f"the image is {image.shape[1]}x{image.shape[0]}, its calibration is for"
                f" {camera.width}x{camera.height}"
            )
            raise CameraError(msg)
        if depth is not None and self.scene.depth_scale != 1.0:
            depth = depth * np.float32(self.scene.depth_scale)
        return self._regressor(image, camera, depth)

    def _with_or_without_depth(
        self, regressed: Regressed, *, given: bool
    ) -> tuple[Correspondences, Calibration, RansacConfig, str]:
        """What to estimate the pose from, how, and why depth that was given is not used."""
        calibration, remark = self.scene.depth_calibration, ""
        if given and calibration is None:
            remark = "depth is not used, the map was made without it"
        elif given and calibration is not None:
            weight = calibration.landmark_weight
            correspondences = regressed.correspondences(with_depth=True, landmark_weight=weight)
            if correspondences.count_B[0] >= _LEAST_SHARE_WITH_DEPTH * regressed.capacity(1.0):
                return correspondences, calibration, self._depth_ransac, ""
            remark = "depth is not used, there is too little of it"
        calibration = self.scene.calibration
        weight = calibration.landmark_weight
        correspondences = regressed.correspondences(with_depth=False, landmark_weight=weight)
        return correspondences, calibration, self._ransac, remark

    def _judge(
        self,
        result: RansacResult,
        calibration: Calibration,
        correspondences: Correspondences,
        regressed: Regressed,
        timings: dict[str, float],
    ) -> PoseEstimate:
        count = int(correspondences.count_B[0])
        if not result.found_B[0]:
            reason = f"no consistent pose among {count} usable {_sources_in_words(regressed)}"
            return PoseEstimate(None, None, False, 0, count, 0.0, reason, timings=timings)
        inliers_N, weights_N = result.inliers_BN[0], correspondences.weights_BN[0]
        inliers = int(inliers_N.sum())
        of_landmarks = 0
        if correspondences.source_BN is not None:
            of_landmarks = int((inliers_N & correspondences.source_BN[0]).sum())
        # A few cells soon agree by chance, so an image of little texture does not gain by it.
        least = _LEAST_SHARE_OF_CELLS * regressed.capacity(calibration.landmark_weight)
        total = float(weights_N.sum())
        if regressed.landmarks is not None:
            # Keypoints without a landmark speak against the place, as cells that disagree do.
            unmatched = regressed.landmarks.keypoints - len(regressed.landmarks.points_M3)
            total += calibration.landmark_weight * unmatched
        support = float(weights_N[inliers_N].sum()) / max(total, least)
        spread = _spread(correspondences, result, regressed.camera)
        covariance = calibration.honest(result.covariance_B66[0].cpu().numpy())
        evidence = Evidence(support, spread, position_deviation(covariance))
        confidence = calibration.confidence_in(evidence)
        reason = f"{inliers} of {count} usable {_sources_in_words(regressed)} agree"
        if support < calibration.min_support:
            reason += f": support {support:.0%}, the map asks for {calibration.min_support:.0%}"
        elif confidence < calibration.min_confidence:
            wanted = calibration.min_confidence
            reason += f": confidence {confidence:.2f}, the map asks for {wanted:.2f}"
        map_T_scene = self.scene.map_T_scene
        return PoseEstimate(
            world_T_cam=map_T_scene @ result.world_T_cam(),
            covariance=rotate_covariance(covariance, map_T_scene[:3, :3]),
            localized=calibration.localizes(evidence),
            inliers=inliers,
            correspondences=count,
            score=float(result.score_B[0]) / total,
            reason=reason,
            support=support,
            spread=spread,
            confidence=confidence,
            landmark_inliers=of_landmarks,
            timings=timings,
        )


def _fitting(
    depth: NDArray[np.float32] | None, camera: Camera
) -> tuple[NDArray[np.float32] | None, str]:
    """Depth, where it can show the field of view of the image; else none, and why."""
    if depth is None:
        return None, ""
    height, width = depth.shape
    rows = height * camera.width / max(width, 1)  # that it would have in the image's width
    if min(height, width) > 0 and abs(rows - camera.height) <= _SAME_PROPORTIONS * camera.height:
        return depth, ""
    size = f"{width}x{height}, which is not in proportion to {camera.width}x{camera.height}"
    return None, f"depth is not used, it is {size}"


def _landmark_weight_in_view(
    result: RansacResult, correspondences: Correspondences, calibration: Calibration
) -> float:
    """The map's own, or more where landmarks agree and cells do not."""
    is_landmark, usual = correspondences.source_BN, calibration.landmark_lead
    if not result.found_B[0] or is_landmark is None or usual is None:
        return calibration.landmark_weight
    lead = landmark_lead(result.inliers_BN[0], is_landmark[0])
    if lead is None:
        return calibration.landmark_weight
    return weight_in_view(calibration.landmark_weight, usual, lead)


def _sources_in_words(regressed: Regressed) -> str:
    if regressed.landmarks is None:
        return "cells"
    return "cells and landmarks" if regressed.cells else "landmarks"


def _spread(correspondences: Correspondences, result: RansacResult, camera: Camera) -> float:
    """Share of the image's blocks that hold a few inliers: of a chance fit they lie together."""
    pixels = correspondences.pixels_BN2[0][result.inliers_BN[0]].cpu().double().numpy()
    corner, size = np.array([camera.cx, camera.cy]), np.array([camera.width, camera.height])
    share = (pixels + corner) / size
    column, row = np.clip((share * _BLOCKS).astype(int), 0, _BLOCKS - 1).T
    held = np.bincount(_BLOCKS * row + column, minlength=_BLOCKS**2)
    return float(np.mean(held >= _LEAST_IN_BLOCK))


def _default_ransac(scene: SceneMap) -> RansacConfig:
    if isinstance(scene.regressor, CoordinateHead):
        return DEFAULT_RANSAC
    return DEFAULT_RANSAC.at_height(scene.camera.height)


def choose_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes CUDA where it works, else the CPU.

    Raises:
        ConfigError: The name is unknown, or the device is not to be had.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        msg = f"unknown device '{name}': use cpu, cuda, cuda:N or auto"
        raise ConfigError(msg) from error
    if device.type not in ("cpu", "cuda"):
        msg = f"device '{name}' is not supported: use cpu, cuda, cuda:N or auto"
        raise ConfigError(msg)
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        msg = f"device '{name}' is not available on this machine: use cpu or auto"
        raise ConfigError(msg)
    return device
