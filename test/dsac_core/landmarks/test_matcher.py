# SPDX-License-Identifier: Apache-2.0
"""Landmarks that an image shows, found in a map of several places."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional

from dsac_core.landmarks.landmark_map import LandmarkMap, quantised
from dsac_core.landmarks.matcher import LandmarkMatcher
from dsac_core.landmarks.places import describe_place, learn_words
from dsac_core.networks.keypoint_detector import Keypoints

CPU = torch.device("cpu")
PLACES, EACH, CHANNELS = 30, 40, 64


def unit(count: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return functional.normalize(torch.randn(count, CHANNELS, generator=generator), dim=1)


def places() -> tuple[LandmarkMap, torch.Tensor]:
    """Thirty places with forty landmarks of their own each, and what they look like [L x C]."""
    looks = unit(PLACES * EACH, 0)
    views = list(looks.split(EACH))
    words = learn_words(views, torch.Generator().manual_seed(0))
    made = LandmarkMap(
        points_L3=torch.arange(PLACES * EACH * 3.0).reshape(-1, 3),
        descriptors_LC=quantised(looks),
        words_WC=words,
        places_VP=quantised(torch.stack([describe_place(view, words) for view in views])),
        first_V=torch.arange(0, PLACES * EACH + 1, EACH, dtype=torch.int32),
        sighted_O=torch.arange(PLACES * EACH, dtype=torch.int32),
    )
    return made, looks


def seen(looks: torch.Tensor, noise: float = 0.03, seed: int = 1) -> Keypoints:
    generator = torch.Generator().manual_seed(seed)
    moved = looks + noise * torch.randn(looks.shape, generator=generator)
    descriptors = functional.normalize(moved, dim=1)
    return Keypoints(torch.zeros(len(looks), 2), torch.ones(len(looks)), descriptors)


@pytest.mark.parametrize("place", [0, 13, 29])
def test_keypoints_find_their_landmarks(place: int) -> None:
    """Every second one shows none."""
    known, looks = places()
    landmarks = torch.arange(place * EACH, (place + 1) * EACH)
    shown = torch.where(torch.arange(EACH) % 2 == 0, landmarks, -1)
    image = torch.where((shown >= 0)[:, None], looks[landmarks], unit(EACH, 9))
    found = LandmarkMatcher(known, CPU)(seen(image))
    assert len(found.keypoint_M) == len(found.points_M3) > 0.9 * EACH / 2
    assert (shown[found.keypoint_M] >= 0).all()
    assert torch.equal(found.points_M3, known.points_L3[shown[found.keypoint_M]])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_each_keypoint_and_each_landmark_is_matched_once(dtype: torch.dtype) -> None:
    """Three keypoints look like each landmark: rounded, they may be equally similar."""
    known, looks = places()
    found = LandmarkMatcher(known, CPU, dtype)(seen(looks[:EACH].repeat(3, 1)))
    assert len(found.keypoint_M.unique()) == len(found.keypoint_M)
    assert len(found.points_M3.unique(dim=0)) == len(found.points_M3) > 0.9 * EACH


def test_landmarks_that_only_unlike_views_see_are_not_compared() -> None:
    """One keypoint of another place, among many of this one: its landmark stays unknown.

    Of thirty places ten are looked into; the other's view is among the least alike.
    """
    known, looks = places()
    image = looks[5 * EACH : 6 * EACH].clone()
    ranking = known.places_VP.float() @ describe_place(image, known.words_WC)
    far = int(ranking.argmin())
    image[0] = looks[far * EACH + 3]
    matcher = LandmarkMatcher(known, CPU)
    found = matcher(seen(image, noise=0.0))
    assert 0 not in found.keypoint_M
    assert len(found.keypoint_M) == EACH - 1
    # Where there are no other views to prefer it is found.
    bounds = known.first_V[[5, 6]].tolist(), known.first_V[[far, far + 1]].tolist()
    sighted = torch.cat([known.sighted_O[a:b] for a, b in bounds])
    two = replace(
        known,
        places_VP=known.places_VP[[5, far]],
        first_V=torch.tensor([0, EACH, 2 * EACH], dtype=torch.int32),
        sighted_O=sighted,
    )
    found = LandmarkMatcher(two, CPU)(seen(image, noise=0.0))
    at = found.keypoint_M.tolist().index(0)
    assert torch.equal(found.points_M3[at], known.points_L3[far * EACH + 3])


def test_a_landmark_that_several_views_see_is_matched_once() -> None:
    known, looks = places()
    overlapping = replace(
        known,
        first_V=torch.arange(0, 2 * PLACES * EACH + 1, 2 * EACH, dtype=torch.int32),
        sighted_O=torch.cat(
            [torch.arange(2 * EACH) + EACH * min(view, PLACES - 2) for view in range(PLACES)]
        ).to(torch.int32),
    )
    found = LandmarkMatcher(overlapping, CPU)(seen(looks[3 * EACH : 4 * EACH]))
    assert len(found.points_M3.unique(dim=0)) == len(found.points_M3) > 0.9 * EACH


def test_what_looks_like_nothing_known_is_not_matched() -> None:
    known, looks = places()
    matcher = LandmarkMatcher(known, CPU)
    assert len(matcher(seen(unit(50, 77))).keypoint_M) == 0
    nearly = seen(looks[:EACH], noise=0.12)  # a cosine of about 0.7
    assert len(matcher(nearly).keypoint_M) < 0.2 * EACH


def test_no_keypoints_and_no_landmarks_are_no_error() -> None:
    known, looks = places()
    nothing = LandmarkMap(
        points_L3=known.points_L3[:0],
        descriptors_LC=known.descriptors_LC[:0],
        words_WC=known.words_WC,
        places_VP=known.places_VP[:2],
        first_V=torch.zeros(3, dtype=torch.int32),
        sighted_O=known.sighted_O[:0],
    )
    for landmarks, keypoints in (
        (known, seen(looks[:0])),
        (nothing, seen(looks[:5])),
        (nothing, seen(looks[:0])),
    ):
        found = LandmarkMatcher(landmarks, CPU)(keypoints)
        assert found.keypoint_M.shape == (0,)
        assert found.keypoint_M.dtype == torch.long
        assert found.points_M3.shape == (0, 3)


def test_views_that_see_no_landmark_give_no_matches() -> None:
    known, looks = places()
    blind = replace(
        known,
        first_V=torch.zeros(PLACES + 1, dtype=torch.int32),
        sighted_O=known.sighted_O[:0],
    )
    assert len(LandmarkMatcher(blind, CPU)(seen(looks[:5])).keypoint_M) == 0
