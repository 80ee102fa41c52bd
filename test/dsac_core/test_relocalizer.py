# SPDX-License-Identifier: Apache-2.0
"""From an image to a pose, with a network that knows the truth: what remains is ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from stand_in import CALIBRATION, CAMERA, KnowingNetwork, depth_image, known_scene, pose_near

from dsac_core.errors import CameraError
from dsac_core.geometry.camera import Camera
from dsac_core.networks.score_net import ScoreNet
from dsac_core.ransac.config import RansacConfig
from dsac_core.relocalizer import PoseEstimate, Relocalizer
from dsac_core.scene.confidence import Confidence, Evidence
from dsac_core.scene.scene_map import Calibration, SceneMap

CAMERA_LARGE = CAMERA.scaled(320, 240)
BARREL = replace(
    CAMERA_LARGE, distortion_model="plumb_bob", distortion=(-0.2, 0.04, 0.001, -0.001, 0.0)
)
TRUTH = pose_near(3)


def known(camera: Camera = CAMERA_LARGE, **options: Any) -> SceneMap:
    return known_scene(KnowingNetwork(camera, TRUTH), camera, **options)


def relocalize(
    scene: SceneMap, camera: Camera = CAMERA_LARGE, depth: np.ndarray | None = None
) -> PoseEstimate:
    image = np.zeros((camera.height, camera.width), dtype=np.uint8)
    return Relocalizer(scene)(image, camera, depth)


def error(estimate: PoseEstimate, truth: np.ndarray = TRUTH) -> float:
    """The largest difference in metres, or of a rotation matrix."""
    assert estimate.world_T_cam is not None
    return float(np.abs(estimate.world_T_cam - truth).max())


WITH_DEPTH: dict[str, Any] = {
    "depth_calibration": replace(CALIBRATION, min_support=0.7, covariance_scale=4.0)
}


@pytest.mark.parametrize("camera", [CAMERA_LARGE, BARREL], ids=["pinhole", "barrel"])
@pytest.mark.parametrize("shift", [0.0, 5.0])
def test_poses_are_exact(camera: Camera, shift: float) -> None:
    """With and without depth, in the frame of the map, whatever the lens."""
    map_T_scene = pose_near(8)
    map_T_scene[:3, 3] += shift
    pinhole = replace(camera, distortion_model="none", distortion=())
    network = KnowingNetwork(pinhole, TRUTH)
    scene = known_scene(network, pinhole, map_T_scene=map_T_scene, **WITH_DEPTH)
    depths = depth_image(camera)
    if not camera.is_distorted:  # of the cells: their centres are between pixels
        middle = depth_image(camera.scaled(40, 30))
        depths = np.kron(middle, np.ones((8, 8), dtype=np.float32))
    for depth in (None, depths):
        estimate = relocalize(scene, camera, depth)
        # A lens moves cells beside the middle of a pixel, and depth is the nearest pixel's.
        exact = depth is None or not camera.is_distorted
        assert error(estimate, map_T_scene @ TRUTH) < (1e-4 if exact else 5e-3)
        assert estimate.localized
        assert estimate.covariance is not None
        assert "agree" in estimate.reason
        assert ";" not in estimate.reason


def test_depth_decides_where_it_is_used() -> None:
    """Depth that is 2 % too long moves RGB-D poses, and no others."""
    long = 1.02 * depth_image(CAMERA_LARGE)
    used = relocalize(known(**WITH_DEPTH), depth=long)
    assert error(used) > 0.01
    unused = relocalize(known(), depth=long)
    assert error(unused) < 1e-4
    assert unused.reason.endswith("; depth is not used, the map was made without it")
    without = relocalize(known())
    assert unused.reason.startswith(without.reason)
    np.testing.assert_array_equal(unused.world_T_cam, without.world_T_cam)


def depth_of_rows(share: float) -> np.ndarray:
    """The depth of the upper part of the image only: the other values are none, of all kinds."""
    depth = depth_image(CAMERA_LARGE)
    first = round(share * len(depth))
    depth[first::3], depth[first + 1 :: 3], depth[first + 2 :: 3] = 0.0, np.nan, np.inf
    return depth


def test_too_little_depth_is_not_used() -> None:
    """A row of cells in thirty is; of four rows, the depth is enough."""
    scene = known(**WITH_DEPTH)
    little = relocalize(scene, depth=depth_of_rows(1 / 30))
    assert little.reason.endswith("; depth is not used, there is too little of it")
    assert little.correspondences == 30 * 40
    assert error(little) < 1e-4
    enough = relocalize(scene, depth=depth_of_rows(4 / 30))
    assert "depth" not in enough.reason
    assert enough.correspondences == 4 * 40
    assert error(enough) < 0.02


@pytest.mark.parametrize("shape", [(0, 0), (0, 40), (30, 0), (30, 30), (30, 42), (36, 40)])
def test_depth_of_other_proportions_than_the_image_is_not_used(shape: tuple[int, int]) -> None:
    scene = known(**WITH_DEPTH)
    estimate = relocalize(scene, depth=np.ones(shape, dtype=np.float32))
    without = relocalize(scene)
    size = f"{shape[1]}x{shape[0]}"
    assert f"; depth is not used, it is {size}, which is not in proportion" in estimate.reason
    np.testing.assert_array_equal(estimate.world_T_cam, without.world_T_cam)


def test_depth_may_be_smaller_than_the_image() -> None:
    """A row less than half, as some cameras have it, too."""
    depth = depth_image(CAMERA_LARGE)
    height, width = depth.shape
    for size in ((width // 2, height // 2), (width // 2, height // 2 - 1)):
        small = cv2.resize(depth, size, interpolation=cv2.INTER_NEAREST)
        estimate = relocalize(known(**WITH_DEPTH), depth=small)
        assert "depth" not in estimate.reason


def test_each_kind_of_pose_has_its_calibration() -> None:
    """A fifth of the cells is wrong: enough agree for colour, too few for depth."""

    class Partly(KnowingNetwork):
        def forward(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
            points = super().forward(gray_B1HW)
            points[..., ::5] += torch.randn(points[..., ::5].shape, generator=torch.Generator())
            return points

    scene = known_scene(Partly(CAMERA_LARGE, TRUTH), CAMERA_LARGE, **WITH_DEPTH)
    scene = replace(scene, depth_calibration=replace(CALIBRATION, min_support=0.9))
    colour, depth = (relocalize(scene, depth=d) for d in (None, depth_image(CAMERA_LARGE)))
    assert error(colour) < 0.02
    assert error(depth) < 0.02
    assert colour.localized
    assert not depth.localized
    assert "the map asks for 90%" in depth.reason
    scaled = replace(scene, depth_calibration=replace(CALIBRATION, covariance_scale=9.0))
    again = relocalize(scaled, depth=depth_image(CAMERA_LARGE))
    np.testing.assert_allclose(again.covariance, 9.0 * depth.covariance, rtol=1e-5)  # type: ignore[operator, arg-type]


class LeftOnly(KnowingNetwork):
    """Knows the left of the image; what it says of the rest is anywhere."""

    share = 0.3

    def forward(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        points = super().forward(gray_B1HW)
        wrong = points[..., int(self.share * points.shape[-1]) :]
        wrong += 3.0 * torch.randn(wrong.shape, generator=torch.Generator().manual_seed(0))
        return points


def test_confidence_is_the_maps_judgement_of_the_evidence() -> None:
    confidence = Confidence(offset=0.5, support=1.0, spread=2.0, sigma=0.3)
    calibration = Calibration(0.0, 0.05, 4.0, translation_floor=0.02, confidence=confidence)
    scene = replace(
        known_scene(LeftOnly(CAMERA_LARGE, TRUTH), CAMERA_LARGE), calibration=calibration
    )
    estimate = relocalize(scene)
    assert error(estimate) < 0.02
    assert estimate.support == pytest.approx(0.3, abs=0.02)
    assert estimate.spread == 0.5  # two of four columns of blocks
    assert estimate.covariance is not None
    assert (np.diag(estimate.covariance)[:3] > 0.02**2).all()
    sigma = float(np.sqrt(np.trace(estimate.covariance[:3, :3])))
    evidence = Evidence(estimate.support, estimate.spread, sigma)
    assert estimate.confidence == pytest.approx(confidence(evidence))
    for wanted, localized in (
        (0.9 * estimate.confidence, True),
        (0.5 + estimate.confidence / 2, False),
    ):
        strict = replace(scene, calibration=replace(calibration, min_confidence=wanted))
        again = relocalize(strict)
        assert again.localized == localized
        said = f": confidence {estimate.confidence:.2f}, the map asks for {wanted:.2f}"
        assert again.reason.endswith(said) != localized
    more = replace(scene, calibration=replace(calibration, min_support=0.4))
    assert "the map asks for 40%" in relocalize(more).reason
    assert not relocalize(more).localized


def test_a_map_without_confidence_has_that_of_its_support() -> None:
    estimate = relocalize(known())
    assert estimate.support > 0.99
    assert estimate.spread == 1.0
    assert 0.9 < estimate.confidence < 1.0


def test_no_pose_has_no_confidence() -> None:
    class Nowhere(KnowingNetwork):
        def forward(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
            return torch.full_like(super().forward(gray_B1HW), torch.nan)

    estimate = relocalize(known_scene(Nowhere(CAMERA_LARGE, TRUTH), CAMERA_LARGE))
    assert estimate.world_T_cam is None
    assert (estimate.confidence, estimate.spread) == (0.0, 0.0)


class Contrary(ScoreNet):
    """Prefers the pose that has the largest errors, and counts the images it was shown."""

    calls: list[tuple[int, int]]

    def forward(self, errors_BHN: torch.Tensor, weights_BN: torch.Tensor) -> torch.Tensor:
        self.calls.append(self.grid)
        super().forward(errors_BHN, weights_BN)  # the residuals fill the grid
        return errors_BHN.mean(dim=-1)


def contrary(threshold: float) -> Contrary:
    scorer = Contrary((1, 1), inlier_threshold=threshold)
    scorer.calls = []
    return scorer


@pytest.mark.parametrize("size", [(320, 240), (333, 247), (200, 300), (64, 48)])
def test_the_score_cnn_of_the_map_chooses_in_images_of_any_size(size: tuple[int, int]) -> None:
    scorer = contrary(10.0)
    camera = replace(CAMERA, width=size[0], height=size[1])
    scene = known_scene(KnowingNetwork(camera, TRUTH), camera, scorer=scorer)
    relocalizer = Relocalizer(scene)
    asked = relocalizer._regressor._scorer.calls  # type: ignore[attr-defined]
    for _ in range(2):
        relocalizer(np.zeros((camera.height, camera.width), dtype=np.uint8), camera)
    assert asked == [(-(-size[1] // 8), -(-size[0] // 8))] * 2


def test_a_score_cnn_that_learnt_on_depth_does_not_judge_pixels() -> None:
    """To it, reprojection errors of any good pose are beyond all bounds."""
    depth = depth_image(CAMERA_LARGE)
    for threshold, uses in ((0.1, (0, 1)), (10.0, (1, 1))):
        relocalizer = Relocalizer(known(scorer=contrary(threshold), **WITH_DEPTH))
        asked = relocalizer._regressor._scorer.calls  # type: ignore[attr-defined]
        image = np.zeros((240, 320), dtype=np.uint8)
        counts = []
        for given in (None, depth):
            relocalizer(image, CAMERA_LARGE, given)
            counts.append(len(asked))
        assert tuple(counts) == uses


def test_an_image_of_another_size_than_its_calibration_is_refused() -> None:
    with pytest.raises(CameraError, match="320x240, its calibration is for 64x48"):
        Relocalizer(known())(np.zeros((240, 320), dtype=np.uint8), CAMERA)


class ForgetfulNetwork(KnowingNetwork):
    """Knows one cell in fifteen; the others are anywhere."""

    def features_BCHW(self, gray_B1HW: torch.Tensor) -> torch.Tensor:
        points = super().features_BCHW(gray_B1HW)
        generator = torch.Generator().manual_seed(0)
        anywhere = 2.0 * torch.randn(points.shape, generator=generator)
        known = torch.rand(points.shape[2:], generator=generator) < 1 / 15
        return torch.where(known, points, anywhere)


def test_a_prior_in_the_frame_of_the_map_finds_what_few_draws_do_not() -> None:
    map_T_scene = pose_near(8)
    map_T_scene[:3, 3] += 5.0
    network = ForgetfulNetwork(CAMERA_LARGE, TRUTH)
    scene = known_scene(network, CAMERA_LARGE, map_T_scene=map_T_scene)
    relocalizer = Relocalizer(scene, ransac=RansacConfig(max_draws=32, min_inliers=50))
    image = np.zeros((CAMERA_LARGE.height, CAMERA_LARGE.width), dtype=np.uint8)
    assert relocalizer(image, CAMERA_LARGE).world_T_cam is None
    expected = map_T_scene @ TRUTH
    nearby = expected.copy()
    nearby[:3, 3] += 0.01
    found = relocalizer(image, CAMERA_LARGE, prior=nearby)
    assert error(found, expected) < 5e-3
    assert relocalizer(image, CAMERA_LARGE, prior=TRUTH).world_T_cam is None
