# SPDX-License-Identifier: Apache-2.0
"""Each fault, put into a good recording, is the one that is named; the good one passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hand_held import RATE, hand_held_frames
from recordings import Recording

from dsac_core.checks import check_recording as checking
from dsac_core.checks.check_recording import check_recording
from dsac_core.checks.findings import CheckReport
from dsac_core.checks.matched_pairs import Matches, match_pairs
from dsac_core.checks.sampled_views import SampledViews, sample_views
from dsac_core.data.frame import ALL, Frame
from dsac_core.geometry.camera import Camera
from dsac_core.geometry.pose import invert
from dsac_core.progress import silent

Change = Callable[[Frame], Frame]
OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
BODY_T_OPTICAL = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])


@pytest.fixture(scope="module")
def seen() -> tuple[SampledViews, Matches]:
    """Keypoints and matches of the good recording: faults of poses and cameras leave them."""
    sampled = sample_views(Recording(list(hand_held_frames())), ALL, silent)
    return sampled, match_pairs(sampled.views, silent, most=24)


@pytest.fixture
def check(
    seen: tuple[SampledViews, Matches], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CheckReport]:
    def run(frames: list[Frame], *, with_depth: bool = False) -> CheckReport:
        sampled, matches = seen
        with_fault = replace(
            sampled,
            world_T_frame_N44=np.array([frame.world_T_cam for frame in frames]),
            views=[replace(view, camera=frames[view.row].camera) for view in sampled.views],
        )
        monkeypatch.setattr(checking, "sample_views", lambda *_: with_fault)
        monkeypatch.setattr(checking, "match_pairs", lambda *_: matches)
        return check_recording(Recording(frames), ALL, silent, with_depth=with_depth)

    return run


def faulty(change: Change) -> list[Frame]:
    return [change(frame) for frame in hand_held_frames()]


def posed(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    return lambda frame: replace(frame, world_T_cam=change(frame.world_T_cam))


def seen_by(change: Callable[[Camera], Camera]) -> Change:
    return lambda frame: replace(frame, camera=change(frame.camera))


def measured(change: Callable[[np.ndarray], np.ndarray]) -> Change:
    def apply(frame: Frame) -> Frame:
        assert frame.depth is not None
        return replace(frame, depth=np.asarray(change(frame.depth), np.float32))

    return apply


def named(report: CheckReport) -> list[str]:
    return [finding.fault for finding in report.faults]


def positions_times(factor: float) -> Change:
    scale = np.ones((4, 4))
    scale[:3, 3] = factor
    return posed(lambda pose: pose * scale)


@pytest.mark.parametrize("with_depth", [True, False])
def test_a_good_recording_passes_and_says_what_was_checked(check, with_depth):
    report = check(list(hand_held_frames()), with_depth=with_depth)
    assert report.is_good
    assert named(report) == []
    assert not report.not_checked
    assert report.numbers["pairs"] == 24
    assert report.numbers["epipolar_error_px"] < 1.5
    if with_depth:
        assert report.numbers["depth_ratio"] == pytest.approx(1.0, abs=0.03)
    else:
        assert 0.5 < report.numbers["triangulated_depth"] < 10.0
    assert "no fault found" in report.in_words()


@pytest.mark.parametrize(
    ("change", "fault", "remedy"),
    [
        (posed(invert), "inverted poses", "invert the poses"),
        (posed(lambda pose: pose @ OPENGL), "OpenGL axes", "diag(1, -1, -1, 1)"),
        (
            posed(lambda pose: invert(pose @ OPENGL)),
            "inverted poses with OpenGL axes",
            "invert the poses, then",
        ),
        (
            posed(lambda pose: pose @ invert(BODY_T_OPTICAL)),
            "poses of the camera's body frame",
            "optical frame",
        ),
    ],
)
def test_pose_conventions(check, change, fault, remedy):
    report = check(faulty(change))
    assert named(report) == [fault]
    assert remedy in report.faults[0].remedy


def matrix_times(factor: float) -> Change:
    def change(camera: Camera) -> Camera:
        other = camera.scaled(round(camera.width * factor), round(camera.height * factor))
        return replace(other, width=camera.width, height=camera.height)

    return seen_by(change)


@pytest.mark.parametrize(("factor", "mend"), [(2.0, "0.5"), (0.5, "2")])
def test_calibration_for_another_image_size(check, factor, mend):
    report = check(faulty(matrix_times(factor)))
    assert named(report) == ["calibration for another image size"]
    assert f"fx, fy, cx and cy by {mend}:" in report.faults[0].remedy


def test_a_wrong_focal_length(check):
    report = check(faulty(seen_by(lambda c: replace(c, fx=1.25 * c.fx, fy=1.25 * c.fy))))
    assert named(report) == ["wrong focal length"]
    assert "by 0.8" in report.faults[0].remedy


def test_distortion_of_rectified_images(check):
    def change(camera: Camera) -> Camera:
        return replace(camera, distortion_model="plumb_bob", distortion=(-0.3, 0.1, 0.0, 0.0))

    assert named(check(faulty(seen_by(change)))) == ["distortion of rectified images"]


@pytest.mark.parametrize(
    ("given", "fault"), [(None, "missing distortion"), (0.3, "wrong distortion")]
)
def test_a_lens_that_bends(check, seen, monkeypatch, given, fault):
    sampled, matches = seen
    lens = replace(
        sampled.views[0].camera, distortion_model="plumb_bob", distortion=(-0.3, 0.0, 0.0, 0.0)
    )
    bent = lens.distort(matches.pixels_M22.reshape(-1, 2)).reshape(-1, 2, 2)
    frames = list(hand_held_frames())
    if given is not None:
        wrong = replace(lens, distortion=(given, 0.0, 0.0, 0.0))
        frames = faulty(seen_by(lambda _: wrong))
    monkeypatch.setitem(matches.__dict__, "pixels_M22", bent)
    report = check(frames)
    assert named(report) == [fault]
    assert "k1 = -0.3" in report.faults[0].remedy or "k1 = -0.2" in report.faults[0].remedy


@pytest.mark.parametrize("frames_late", [2, -3])
def test_poses_and_images_out_of_step(check, frames_late):
    good = list(hand_held_frames())
    last = len(good) - 1
    places = [min(max(index - frames_late, 0), last) for index in range(len(good))]
    shifted = [
        replace(frame, world_T_cam=good[place].world_T_cam)
        for frame, place in zip(good, places, strict=True)
    ]
    report = check(shifted)
    assert named(report) == ["poses and images out of step"]
    side = "later" if frames_late > 0 else "earlier"
    when = f"{abs(frames_late)} frames ({abs(frames_late) / RATE:.3g} s) {side}"
    assert when in report.faults[0].remedy


@pytest.mark.parametrize(
    ("with_depth", "remedy"),
    [(True, "multiply the positions by 0.001"), (False, "divide the positions by 1000")],
)
def test_poses_in_millimetres(check, with_depth, remedy):
    report = check(faulty(positions_times(1000.0)), with_depth=with_depth)
    assert named(report) == ["poses in millimetres"]
    assert report.faults[0].remedy == remedy


@pytest.mark.parametrize(("factor", "mend"), [(0.001, "1000"), (1000.0, "0.001"), (5.0, "0.2")])
def test_a_wrong_unit_of_depth(check, factor, mend):
    report = check(faulty(measured(lambda depth: factor * depth)), with_depth=True)
    assert named(report) == ["wrong depth unit"]
    assert report.faults[0].remedy.startswith(f"multiply depth by {mend} ")


def test_depth_that_is_not_registered(check):
    def of_a_wider_camera(depth: np.ndarray) -> np.ndarray:
        height, width = depth.shape
        shrunk = np.array([[0.8, 0.0, 0.1 * width + 4.0], [0.0, 0.8, 0.1 * height]])
        return cv2.warpAffine(depth, shrunk, (width, height), flags=cv2.INTER_NEAREST)

    report = check(faulty(measured(of_a_wider_camera)), with_depth=True)
    assert named(report) == ["depth that is not registered to the images"]
    assert "scaled by 1.2" in report.faults[0].evidence


def test_depth_along_the_rays(check):
    camera = hand_held_frames()[0].camera
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    away = ((x - camera.cx) / camera.fx) ** 2 + ((y - camera.cy) / camera.fy) ** 2
    report = check(faulty(measured(lambda depth: depth * np.sqrt(1.0 + away))), with_depth=True)
    assert named(report) == ["depth along the rays"]


def test_two_faults_are_both_named(check):
    both = [measured(lambda depth: 5.0 * depth)(frame) for frame in faulty(posed(invert))]
    assert named(check(both, with_depth=True)) == ["inverted poses", "wrong depth unit"]


def test_two_faults_that_hide_each_other(check):
    both = [matrix_times(2.0)(frame) for frame in faulty(posed(invert))]
    report = check(both)
    assert named(report) == ["inverted poses, and calibration for another image size"]
    assert "invert the poses" in report.faults[0].remedy
    assert "by 0.5" in report.faults[0].remedy


def test_poses_of_another_recording_fit_nothing(check):
    rng = np.random.default_rng(0)
    frames = list(hand_held_frames())
    order = rng.permutation(len(frames))
    mixed = [
        replace(frame, world_T_cam=frames[other].world_T_cam)
        for frame, other in zip(frames, order, strict=True)
    ]
    assert named(check(mixed)) == ["poses and images do not fit"]


def test_poses_that_stand_still_or_are_none(check):
    still = check(faulty(posed(lambda _: np.eye(4))))
    assert named(still) == ["poses that do not change"]
    stretched = check(faulty(posed(lambda pose: pose @ np.diag([1.1, 1.1, 1.1, 1.0]))))
    assert named(stretched) == ["poses that are not rigid"]
    assert "scales by 1.1" in stretched.faults[0].evidence
    assert stretched.not_checked


def test_depth_that_is_not_there_is_said(check):
    frames = faulty(lambda frame: replace(frame, depth=None))
    report = check(frames, with_depth=True)
    assert report.is_good
    assert report.not_checked == ["depth: there is none"]


def test_too_few_images():
    report = check_recording(Recording(list(hand_held_frames())[:3]), ALL, silent)
    assert named(report) == ["too few views"]
    assert "only 3 pairs" in report.not_checked[0] or "pairs of images" in report.not_checked[0]
    assert not report.is_good


def test_dark_images_have_no_texture():
    dark = faulty(lambda frame: replace(frame, image=np.zeros_like(frame.image)))
    report = check_recording(Recording(dark), ALL, silent)
    assert named(report) == ["images without texture"]
    assert "cannot be checked: poses" in report.in_words()
