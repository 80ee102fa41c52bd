# SPDX-License-Identifier: Apache-2.0
"""Tracks of a room of random points: where they lie, and which keypoints they have."""

from __future__ import annotations

import pytest
import torch
from landmark_room import BASELINE, LandmarkRoom, landmark_room
from torch.nn import functional

from dsac_core.training import landmark_tracks
from dsac_core.training.epipolar_matches import epipolar_matches
from dsac_core.training.keypoint_view import KeypointView, poses_of
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.landmark_tracks import Tracks, find_tracks

CONFIG = LandmarkConfig(max_error=1.5)


def tracks_of(room: LandmarkRoom, config: LandmarkConfig = CONFIG) -> Tracks:
    return find_tracks(room.views, BASELINE, config)


def errors(room: LandmarkRoom, tracks: Tracks) -> torch.Tensor:
    """Metres [T], from the true point; only of tracks whose keypoints show one."""
    point_T, _ = room.true_points(tracks)
    assert (point_T >= 0).all()
    return (tracks.points_T3 - room.points_P3[point_T]).norm(dim=1)


def depth_in_view(room: LandmarkRoom, tracks: Tracks, view: int) -> torch.Tensor:
    pose = room.views[view].cam_T_world_34
    return tracks.points_T3[tracks.track_O[tracks.view_O == view]] @ pose[2, :3] + pose[2, 3]


@pytest.fixture(scope="module")
def room() -> LandmarkRoom:
    return landmark_room()


@pytest.fixture(scope="module")
def tracks(room: LandmarkRoom) -> Tracks:
    return tracks_of(room)


def test_tracks_lie_on_the_true_points(room: LandmarkRoom, tracks: Tracks) -> None:
    """At 3 m, 0.3 px are 3.5 mm across the ray, and some times as much along it."""
    off = errors(room, tracks)
    assert off.median() < 0.02
    assert off.quantile(0.9) < 0.06


def test_without_noise_they_lie_exactly_there() -> None:
    """Nearly all: rays of a few degrees leave some millimetres of the start."""
    exact = landmark_room(noise=0.0)
    off = errors(exact, tracks_of(exact))
    assert off.median() < 1e-4
    assert off.quantile(0.95) < 5e-3


def test_nearly_all_that_several_views_show_is_found(room: LandmarkRoom, tracks: Tracks) -> None:
    seen = torch.cat(room.shown)
    often = torch.bincount(seen[seen >= 0], minlength=len(room.points_P3)) >= 3
    point_T, _ = room.true_points(tracks)
    assert len(point_T.unique()) > 0.95 * int(often.sum())
    assert len(point_T) < 1.1 * len(point_T.unique())


def test_the_keypoints_of_a_track_show_its_point(room: LandmarkRoom, tracks: Tracks) -> None:
    """Also where another point looks the same."""
    point_T, agree = room.true_points(tracks)
    assert agree.float().mean() > 0.99
    repeated = point_T < 40  # twenty and those that look like them
    assert repeated.sum() > 10
    assert agree[repeated[tracks.track_O]].float().mean() > 0.97


def test_a_keypoint_is_in_one_track_at_most(tracks: Tracks) -> None:
    sightings = torch.stack([tracks.view_O, tracks.keypoint_O], dim=1)
    assert len(sightings.unique(dim=0)) == len(sightings)


def test_a_track_has_several_views_each_once(tracks: Tracks) -> None:
    assert (torch.bincount(tracks.track_O, minlength=len(tracks.points_T3)) >= 2).all()
    both = torch.stack([tracks.track_O, tracks.view_O], dim=1)
    assert len(both.unique(dim=0)) == len(both)


def test_sightings_are_near_the_point(room: LandmarkRoom, tracks: Tracks) -> None:
    poses = poses_of(room.views)
    for track, view, keypoint in zip(
        tracks.track_O.tolist(), tracks.view_O.tolist(), tracks.keypoint_O.tolist(), strict=True
    ):
        in_camera = poses.rotation_M33[view] @ tracks.points_T3[track] + poses.translation_M3[view]
        assert in_camera[2] > 0
        projected = in_camera[:2] / in_camera[2] * poses.focal_M2[view]
        assert (projected - room.views[view].pixels_K2[keypoint]).norm() < CONFIG.max_error


def test_the_rays_of_a_track_meet_at_an_angle() -> None:
    """Of two views: all points that both see and of which the rays meet at more than asked for."""
    pair = landmark_room(views=2)
    tracks = tracks_of(pair, LandmarkConfig(max_error=1.5, min_angle=4.0))
    point_T, _ = pair.true_points(tracks)
    both = torch.tensor(sorted(set(pair.shown[0].tolist()) & set(pair.shown[1].tolist()) - {-1}))
    rays = functional.normalize(poses_of(pair.views).centres_M3 - pair.points_P3[both, None], dim=2)
    degrees = (rays[:, 0] * rays[:, 1]).sum(dim=1).acos().rad2deg()
    kept = torch.isin(both, point_T)
    assert 0.2 < kept.float().mean() < 0.8
    assert kept[degrees > 4.3].float().mean() > 0.9
    assert kept[degrees < 3.7].float().mean() < 0.1


def test_a_keypoint_that_lies_elsewhere_on_the_line_is_not_in_the_track() -> None:
    """Four cameras in a row, of which one sees the point where it is not, but in the same row."""
    looks = functional.normalize(torch.ones(1, 64), dim=1).half()
    views = []
    for number in range(4):
        pose = torch.eye(3, 4, dtype=torch.float64)
        pose[0, 3] = -0.4 * number
        x = 250.0 * (0.7 - 0.4 * number) / 3.0 + (20.0 if number == 1 else 0.0)
        intrinsics = torch.tensor([250.0, 250.0, 160.0, 120.0])
        views.append(
            KeypointView(torch.tensor([[x, 30.0]]), looks, torch.zeros(1), intrinsics, pose)
        )
    tracks = find_tracks(views, BASELINE, CONFIG)
    assert sorted(tracks.view_O.tolist()) == [0, 2, 3]
    expected = torch.tensor([[0.7, 30.0 * 3.0 / 250.0, 3.0]]).double()
    torch.testing.assert_close(tracks.points_T3, expected, atol=0.05, rtol=0)


def test_points_that_very_many_views_see_are_no_worse() -> None:
    """More than a point is triangulated from."""
    room = landmark_room(views=24, points=100, clutter=10)
    tracks = tracks_of(room, LandmarkConfig(max_error=1.5, neighbours=16))
    assert errors(room, tracks).median() < 0.01
    _, agree = room.true_points(tracks)
    assert agree.float().mean() > 0.99
    assert len(tracks.track_O) > 6.2 * len(tracks.points_T3)
    sightings = torch.stack([tracks.view_O, tracks.keypoint_O], dim=1)
    assert len(sightings.unique(dim=0)) == len(sightings)


def test_views_that_see_nothing_are_no_error(room: LandmarkRoom) -> None:
    emptied = room.with_view_empty(2).with_view_empty(0)
    tracks = tracks_of(emptied)
    assert not ((tracks.view_O == 2) | (tracks.view_O == 0)).any()
    assert errors(emptied, tracks).median() < 0.02
    nothing = emptied
    for number in range(len(room.views)):
        nothing = nothing.with_view_empty(number)
    assert len(tracks_of(nothing).points_T3) == len(tracks_of(nothing).track_O) == 0


def test_one_view_alone_has_no_tracks() -> None:
    assert len(tracks_of(landmark_room(views=1)).points_T3) == 0


def test_when_time_is_up_no_more_pairs_are_matched(room: LandmarkRoom, tracks: Tracks) -> None:
    asked: list[int] = []

    def enough(done: int) -> bool:
        asked.append(done)
        return done >= 5

    few = find_tracks(room.views, BASELINE, CONFIG, enough=enough)
    assert few.pairs == 5
    assert asked == [0, 1, 2, 3, 4, 5]
    assert 0 < len(few.track_O) < len(tracks.track_O)
    assert errors(room, few).median() < 0.03
    none = find_tracks(room.views, BASELINE, CONFIG, enough=lambda _: True)
    assert none.pairs == len(none.points_T3) == 0


def test_best_neighbours_are_matched_first(
    room: LandmarkRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many pairs as views: each view is in one of them, and none in most of them."""
    matched: list[KeypointView] = []

    def matches(
        first: KeypointView, second: KeypointView, **settings: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        matched.extend([first, second])
        return epipolar_matches(first, second, **settings)

    monkeypatch.setattr(landmark_tracks, "epipolar_matches", matches)
    count = len(room.views)
    find_tracks(room.views, BASELINE, CONFIG, enough=lambda done: done >= count)
    often = [sum(each is view for each in matched) for view in room.views]
    assert min(often) >= 1
    assert max(often) <= count / 2


def test_pairs_are_as_many_as_neighbours_allow(room: LandmarkRoom, tracks: Tracks) -> None:
    one = tracks_of(room, LandmarkConfig(max_error=1.5, neighbours=1))
    assert len(room.views) / 2 <= one.pairs <= len(room.views) < tracks.pairs
    assert tracks.pairs <= len(room.views) * (len(room.views) - 1) / 2


def test_progress_is_told(room: LandmarkRoom) -> None:
    told: list[tuple[str, float]] = []
    find_tracks(
        room.views,
        BASELINE,
        CONFIG,
        progress=lambda stage, share, _="": told.append((stage, share)),
    )
    assert told[-1] == ("matching keypoints", 1.0)


def test_measured_depth_makes_tracks_of_single_views() -> None:
    room = landmark_room(with_depth=True)
    tracks = tracks_of(room)
    sightings = torch.bincount(tracks.track_O, minlength=len(tracks.points_T3))
    single = sightings[tracks.track_O] == 1
    assert single.sum() > 50
    for view, keypoint, track in zip(
        tracks.view_O[single].tolist(),
        tracks.keypoint_O[single].tolist(),
        tracks.track_O[single].tolist(),
        strict=True,
    ):
        own = room.views[view]
        in_camera = own.cam_T_world_34[:, :3] @ tracks.points_T3[track] + own.cam_T_world_34[:, 3]
        measured = own.depth_K[keypoint].double()
        assert measured > 0
        ray = torch.cat([own.pixels_K2[keypoint] / own.intrinsics_4[:2], torch.ones(1)])
        torch.testing.assert_close(in_camera, measured * ray.double(), atol=1e-4, rtol=0)


def test_measured_depth_makes_the_others_more_exact(room: LandmarkRoom, tracks: Tracks) -> None:
    """The same points and pixels; of points that several views see."""
    measured = landmark_room(with_depth=True)
    found = tracks_of(measured)
    point_T, _ = measured.true_points(found)
    off = (found.points_T3 - measured.points_P3[point_T.clamp_min(0)]).norm(dim=1)
    several = (torch.bincount(found.track_O) >= 2) & (point_T >= 0)
    assert several.sum() > 100
    assert off[several].median() < 0.6 * errors(room, tracks).median()


def test_depth_alone_is_enough_where_no_pair_is_matched() -> None:
    room = landmark_room(with_depth=True)
    tracks = find_tracks(room.views, BASELINE, CONFIG, enough=lambda _: True)
    measured = sum(int((view.depth_K > 0).sum()) for view in room.views)
    assert len(tracks.points_T3) == len(tracks.track_O) == measured
    for view in (0, 5):
        depth = depth_in_view(room, tracks, view)
        keypoint = tracks.keypoint_O[tracks.view_O == view]
        torch.testing.assert_close(depth, room.views[view].depth_K[keypoint].double())
