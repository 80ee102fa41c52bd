# SPDX-License-Identifier: Apache-2.0
"""The weight of a landmark: what held-out views say, with a lean to landmarks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from landmark_scene import KnownView, RecallingHead, known_view, landmark_scene
from scipy.spatial.transform import Rotation

from dsac_core.data.frame import Frame
from dsac_core.progress import silent
from dsac_core.ransac.config import RansacConfig
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import RansacResult
from dsac_core.relocalizer import DEFAULT_DEPTH_RANSAC, DEFAULT_RANSAC
from dsac_core.scene.scene_map import SceneMap
from dsac_core.training import landmark_weight as module
from dsac_core.training.landmark_weight import WEIGHTS, best_weight, weigh_landmarks

CPU = torch.device("cpu")
LAST = len(WEIGHTS) - 1


@pytest.fixture(scope="module")
def view() -> KnownView:
    return known_view()


def frames(view: KnownView, count: int = 4, with_depth: int = 0) -> list[Frame]:
    """The first have depth; each has its number as a stamp."""
    return [
        Frame(str(number), float(number), view.image, view.camera, view.world_T_cam,
              view.depth if number < with_depth else None)
        for number in range(count)
    ]  # fmt: skip


def rows(*errors: float, frames: int = 1) -> np.ndarray:
    """Errors with some weights, the last of them with all that are left, of so many frames."""
    row = [*errors, *[errors[-1]] * (len(WEIGHTS) - len(errors))]
    return np.array([row] * frames)


@pytest.mark.parametrize("best", range(len(WEIGHTS)))
def test_the_weight_of_the_least_error(best: int) -> None:
    errors = np.full((3, len(WEIGHTS)), 0.05)
    errors[:, best] = 0.02
    assert best_weight(errors) == WEIGHTS[best]


def test_of_equals_the_largest() -> None:
    assert best_weight(rows(0.02, frames=5)) == WEIGHTS[LAST]
    # Though one in between is worse.
    assert best_weight(rows(0.02, 0.1, 0.02, 0.1, frames=5)) == WEIGHTS[2]


@pytest.mark.parametrize(("frames", "expected"), [(4, WEIGHTS[LAST]), (100, WEIGHTS[0])])
def test_what_is_worse_by_less_than_a_standard_error_is_not_worse(
    frames: int, expected: float
) -> None:
    """A tenth worse on average, and half better or worse from frame to frame: many frames tell."""
    factors = np.tile([1.1 * 1.5, 1.1 / 1.5], frames // 2)
    errors = rows(0.02, frames=frames)
    errors[:, 1:] *= factors[:, None]
    assert best_weight(errors) == expected


def test_what_hardly_differs_is_not_worse_however_sure_it_is() -> None:
    assert best_weight(rows(0.02, 0.0206, frames=9)) == WEIGHTS[LAST]
    assert best_weight(rows(0.02, 0.0206, 0.0214, frames=9)) == WEIGHTS[1]


def test_one_frame_says_nothing() -> None:
    assert best_weight(rows(0.02, 0.2)) == WEIGHTS[LAST]


def test_one_view_that_fails_does_not_decide() -> None:
    """Nine are three times as good with a weight with which the tenth is off by a metre."""
    errors = np.vstack([rows(0.06, 0.02, 0.06, frames=9), rows(0.3, 1.0, 0.3)])
    assert best_weight(errors) == WEIGHTS[1]
    assert errors.mean(axis=0).argmin() != 1


def scattered(points_N3: torch.Tensor, metres: float) -> torch.Tensor:
    return points_N3 + metres * torch.randn(
        points_N3.shape, generator=torch.Generator().manual_seed(0)
    )


def lossy(view: KnownView, what: str) -> SceneMap:
    """A map whose cells, or whose landmarks, are off by a decimetre; the others are exact."""
    if what == "cells":
        points = scattered(view.head.get_buffer("points"), 0.1)
        return landmark_scene(view, regressor=RecallingHead(view.head.get_buffer("known"), points))
    landmarks = view.landmarks()
    return landmark_scene(
        view, landmarks=replace(landmarks, points_L3=scattered(landmarks.points_L3, 0.1))
    )


@pytest.mark.parametrize(("what", "expected"), [("cells", WEIGHTS[2:]), ("landmarks", WEIGHTS[:2])])
def test_what_is_exact_weighs_more(what: str, expected: tuple[float, ...], view: KnownView) -> None:
    """For colour and for depth; nothing else of the calibration changes."""
    for with_depth in (0, 2):
        scene = lossy(view, what)
        weighed = weigh_landmarks(scene, frames(view, 2, with_depth), CPU, silent)
        colour, depth = weighed.calibration, weighed.depth_calibration
        assert depth is not None
        for calibration in (colour, depth):
            assert calibration.landmark_weight in expected
            weight = scene.calibration.landmark_weight
            assert calibration.landmark_lead is not None
            same = replace(calibration, landmark_weight=weight, landmark_lead=None)
            assert same == scene.calibration
        assert with_depth or colour == depth


# Of three frames, by weight: the second weight has a median of 5, where it is known.
LEADS = [
    [1.0, 6.0, 1.0, 1.0, 1.0],
    [1.0, 4.0, 1.0, 1.0, 1.0],
    [1.0, None, 1.0, 1.0, 1.0],
]


class Script:
    """In place of the poses: errors by weight, for colour and for depth; who was asked for what."""

    def __init__(self, by_colour: Iterable[float], by_depth: Iterable[float]) -> None:
        self.errors = {False: list(by_colour), True: list(by_depth)}
        self.asked: list[tuple[str, bool]] = []
        self.weights: set[tuple[float, ...]] = set()

    def __call__(
        self, weighed: Iterable[Correspondences], frame: Frame, *, in_metres: bool
    ) -> list[module._Tried]:
        given = list(weighed)
        assert all((each.camera_points_BN3 is not None) == in_metres for each in given)
        self.asked.append((frame.name, in_metres))
        self.weights.add(tuple(float(each.weights_BN.max()) for each in given))
        leads = LEADS[len(self.asked) % 3]
        return [
            module._Tried(error, lead)
            for error, lead in zip(self.errors[in_metres], leads, strict=True)
        ]


def test_depth_has_a_weight_of_its_own(view: KnownView, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which the frames that have depth decide; all of them decide the other."""
    script = Script(rows(0.05, 0.02, 0.05)[0], rows(0.05, 0.05, 0.02, 0.05)[0])
    monkeypatch.setattr(module, "_tried", script)
    weighed = weigh_landmarks(landmark_scene(view), frames(view, 4, 2), CPU, silent)
    assert weighed.depth_calibration is not None
    assert weighed.calibration.landmark_weight == WEIGHTS[1]
    assert weighed.depth_calibration.landmark_weight == WEIGHTS[2]
    assert script.weights == {WEIGHTS}
    assert {name for name, in_metres in script.asked if in_metres} == {"0", "1"}
    assert {name for name, in_metres in script.asked if not in_metres} == {"0", "1", "2", "3"}


def test_some_views_spread_over_all_are_enough(
    view: KnownView, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = Script(rows(0.1)[0], rows(0.1)[0])
    monkeypatch.setattr(module, "_tried", script)
    told: list[tuple[str, float, str]] = []
    weigh_landmarks(landmark_scene(view), frames(view, 100), CPU, lambda *each: told.append(each))
    asked = sorted(int(name) for name, _ in script.asked)
    assert len(asked) == len(set(asked)) == 16
    assert max(np.diff(asked)) < 12
    assert asked[-1] > 90
    assert told[-1] == ("weighing", 1.0, "view 16/16")


def test_the_usual_lead_is_that_of_the_weight(
    view: KnownView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The median over the frames that have one."""
    script = Script(rows(0.05, 0.02, 0.05)[0], rows(0.05)[0])
    monkeypatch.setattr(module, "_tried", script)
    weighed = weigh_landmarks(landmark_scene(view), frames(view, 3), CPU, silent)
    assert weighed.calibration.landmark_lead == 5.0


@pytest.mark.parametrize("lacks", ["landmarks", "regression"])
def test_of_one_source_nothing_is_weighed(
    lacks: str, view: KnownView, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "make_regressor", None)
    fields: dict[str, Any] = {"landmarks": None} if lacks == "landmarks" else {"regression": False}
    scene = landmark_scene(view, **fields)
    weighed = weigh_landmarks(scene, frames(view), CPU, silent)
    assert weighed.calibration == scene.calibration
    assert weighed.depth_calibration == scene.calibration


def judged(
    view: KnownView, world_T_cam: np.ndarray, monkeypatch: pytest.MonkeyPatch, **changes: Any
) -> np.ndarray:
    """The errors [2 x W], by colour and by depth, of a frame that says it is elsewhere."""
    seen: list[list[float]] = []
    tried = module._tried

    def listening(*arguments: Any, **options: Any) -> list[module._Tried]:
        found = tried(*arguments, **options)
        seen.append([each.error for each in found])
        return found

    monkeypatch.setattr(module, "_tried", listening)
    fields = {"depth_scale": 1.0, **changes}
    (frame,) = frames(view, 1, 1)
    assert frame.depth is not None
    measured = frame.depth / np.float32(fields["depth_scale"])
    frame = replace(frame, world_T_cam=world_T_cam, depth=measured)
    weigh_landmarks(landmark_scene(view, **fields), [frame], CPU, silent)
    return np.array(seen)


@pytest.mark.parametrize("scale", [1.0, 1.05])
def test_errors_are_distances_and_angles(
    scale: float, view: KnownView, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a radian, metres; depth is scaled as it is at query."""
    truth = view.world_T_cam
    moved, turned = truth.copy(), truth.copy()
    moved[0, 3] += 0.4
    turned[:3, :3] = turned[:3, :3] @ Rotation.from_rotvec([0.0, 0.3, 0.0]).as_matrix()
    for pose, expected in ((truth, 0.001), (moved, 0.401), (turned, 0.301)):
        with monkeypatch.context() as patched:
            errors = judged(view, pose, patched, depth_scale=scale)
        assert errors.shape == (2, len(WEIGHTS))
        np.testing.assert_allclose(errors, expected, atol=0.01)
        assert errors.min() >= min(expected, 0.001)


def test_no_pose_is_worse_than_a_bad_one(view: KnownView, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if it were off by ten metres, which is also the most of a pose."""
    far = view.world_T_cam.copy()
    far[2, 3] += 50.0
    with monkeypatch.context() as patched:
        assert (judged(view, far, patched) == 10.0).all()
    nothing = replace(view, image=np.full_like(view.image, 128))
    lost_points = torch.full_like(view.head.get_buffer("points"), torch.nan)
    head = RecallingHead(view.head.get_buffer("known"), lost_points)
    errors = judged(nothing, view.world_T_cam, monkeypatch, regressor=head,
                    landmarks=view.landmarks())  # fmt: skip
    assert (errors == 10.0).all()


def test_thresholds_are_those_of_a_query(view: KnownView, monkeypatch: pytest.MonkeyPatch) -> None:
    """In pixels, or in metres."""
    thresholds: set[tuple[bool, float]] = set()
    estimate = module.estimate_poses

    def listening(given: Correspondences, config: RansacConfig, *rest: Any) -> RansacResult:
        thresholds.add((given.camera_points_BN3 is not None, config.inlier_threshold))
        return estimate(given, config, *rest)

    monkeypatch.setattr(module, "estimate_poses", listening)
    weigh_landmarks(landmark_scene(view), frames(view, 1, 1), CPU, silent)
    assert thresholds == {
        (False, DEFAULT_RANSAC.inlier_threshold),
        (True, DEFAULT_DEPTH_RANSAC.inlier_threshold),
    }
