# SPDX-License-Identifier: Apache-2.0
"""Which landmarks a map keeps, and what it says of them."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from landmark_room import BASELINE, LandmarkRoom, landmark_room
from torch.nn import functional

from dsac_core.data.frame import spread_indices
from dsac_core.landmarks.landmark_map import QUANTA, LandmarkMap
from dsac_core.landmarks.places import describe_place
from dsac_core.training.landmark_choice import build_landmark_map
from dsac_core.training.landmark_config import LandmarkConfig
from dsac_core.training.landmark_tracks import Tracks, find_tracks


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def room() -> LandmarkRoom:
    return landmark_room(views=12)


@pytest.fixture(scope="module")
def tracks(room: LandmarkRoom) -> Tracks:
    return find_tracks(room.views, BASELINE, LandmarkConfig())


def chosen_of(made: LandmarkMap, tracks: Tracks) -> torch.Tensor:
    """The track that each landmark was."""
    same = torch.cdist(made.points_L3.double(), tracks.points_T3)
    assert (same.amin(dim=1) < 1e-6).all()
    return same.argmin(dim=1)


def entries(made: LandmarkMap) -> list[list[int]]:
    """The landmarks of each view that the map can be entered by."""
    bounds = made.first_V.tolist()
    return [made.sighted_O[a:b].tolist() for a, b in pairwise(bounds)]


def test_with_room_enough_every_track_is_kept(room: LandmarkRoom, tracks: Tracks) -> None:
    made = build_landmark_map(tracks, room.views, LandmarkConfig(), random())
    assert len(made) == len(tracks.points_T3)
    assert made.views == len(room.views)
    assert sorted(chosen_of(made, tracks).tolist()) == list(range(len(made)))


def test_the_index_says_which_view_sees_which(room: LandmarkRoom, tracks: Tracks) -> None:
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_landmarks=80), random())
    track_of = chosen_of(made, tracks)
    for view, landmarks in enumerate(entries(made)):
        seen = set(tracks.track_O[tracks.view_O == view].tolist())
        expected = [n for n, track in enumerate(track_of.tolist()) if track in seen]
        assert landmarks == expected


def test_descriptors_are_the_mean_of_the_sightings(room: LandmarkRoom, tracks: Tracks) -> None:
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_landmarks=50), random())
    for landmark, track in enumerate(chosen_of(made, tracks).tolist()):
        total = torch.zeros(64)
        for view, keypoint in zip(
            tracks.view_O[tracks.track_O == track].tolist(),
            tracks.keypoint_O[tracks.track_O == track].tolist(),
            strict=True,
        ):
            total += room.views[view].descriptors_KC[keypoint].float()
        stored = made.descriptors_LC[landmark].float() / QUANTA
        mean = functional.normalize(total, dim=0)
        torch.testing.assert_close(stored, mean, atol=0.51 / QUANTA, rtol=0)


def test_places_are_those_of_the_views(room: LandmarkRoom, tracks: Tracks) -> None:
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_views=4), random())
    views = sorted(spread_indices(12, 4))
    assert made.views == 4
    for place, view in zip(made.places_VP, views, strict=True):
        expected = describe_place(room.views[view].descriptors_KC.float(), made.words_WC)
        torch.testing.assert_close(place.float() / QUANTA, expected, atol=0.51 / QUANTA, rtol=0)


@pytest.mark.parametrize("most", [1, 10, 60, 100])
def test_so_many_landmarks_are_kept(room: LandmarkRoom, tracks: Tracks, most: int) -> None:
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_landmarks=most), random())
    assert len(made) == most
    assert len(made.points_L3.unique(dim=0)) == most


def test_few_landmarks_cover_all_views(room: LandmarkRoom, tracks: Tracks) -> None:
    """Each view keeps one of those that it sees which most views see, before any a second."""
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_landmarks=30), random())
    assert all(len(landmarks) >= 2 for landmarks in entries(made))
    sightings = torch.bincount(tracks.track_O)
    kept = sightings[chosen_of(made, tracks)]
    assert kept.float().mean() > 1.2 * sightings.float().mean()


def test_a_view_with_few_and_poor_landmarks_keeps_some() -> None:
    """Two rooms: 20 views of one, two of the other, whose points two views see at most."""
    many, few = landmark_room(views=20), landmark_room(views=2, seed=1)
    parts = [
        find_tracks(each.views, BASELINE, LandmarkConfig(min_angle=1.0)) for each in (many, few)
    ]
    count = len(parts[0].points_T3)
    both = Tracks(
        torch.cat([part.points_T3 for part in parts]),
        torch.cat([parts[0].track_O, parts[1].track_O + count]),
        torch.cat([parts[0].view_O, parts[1].view_O + 20]),
        torch.cat([part.keypoint_O for part in parts]),
        0,
    )
    views = [*many.views, *few.views]
    assert len(parts[1].points_T3) > 30
    made = build_landmark_map(both, views, LandmarkConfig(most_landmarks=60), random())
    chosen = chosen_of(made, both)
    assert (chosen >= count).sum() >= 3
    assert all(entries(made))


def test_what_only_other_views_see_is_not_kept(room: LandmarkRoom, tracks: Tracks) -> None:
    """Nobody could come to it."""
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_views=2), random())
    views = sorted(spread_indices(12, 2))
    seen = torch.isin(tracks.view_O, torch.tensor(views))
    assert sorted(chosen_of(made, tracks).tolist()) == tracks.track_O[seen].unique().tolist()
    assert len(made) < len(tracks.points_T3)


def test_the_map_can_be_stored(room: LandmarkRoom, tracks: Tracks) -> None:
    made = build_landmark_map(tracks, room.views, LandmarkConfig(most_views=5), random())
    again = LandmarkMap.from_tensors(made.tensors())
    assert len(again) == len(made)
    kinds = {name: values.dtype for name, values in made.tensors().items()}
    assert kinds == {
        "points_L3": torch.float32,
        "descriptors_LC": torch.int8,
        "words_WC": torch.float32,
        "places_VP": torch.int8,
        "first_V": torch.int32,
        "sighted_O": torch.int32,
    }


def test_the_seed_decides(room: LandmarkRoom, tracks: Tracks) -> None:
    config = LandmarkConfig(most_landmarks=40)
    first, again = (build_landmark_map(tracks, room.views, config, random()) for _ in range(2))
    for name, values in first.tensors().items():
        assert torch.equal(values, again.tensors()[name])


def test_views_without_keypoints_and_no_tracks_at_all_are_no_error(room: LandmarkRoom) -> None:
    emptied = room.with_view_empty(3)
    tracks = find_tracks(emptied.views, BASELINE, LandmarkConfig())
    made = build_landmark_map(tracks, emptied.views, LandmarkConfig(), random())
    assert entries(made)[3] == []
    assert not made.places_VP[3].any()
    for number in range(len(room.views)):
        emptied = emptied.with_view_empty(number)
    tracks = find_tracks(emptied.views, BASELINE, LandmarkConfig())
    made = build_landmark_map(tracks, emptied.views, LandmarkConfig(), random())
    assert len(made) == 0
    assert len(LandmarkMap.from_tensors(made.tensors())) == 0
