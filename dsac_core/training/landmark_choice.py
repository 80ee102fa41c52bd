# SPDX-License-Identifier: Apache-2.0
"""From tracks to the landmarks that a map keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from dsac_core.data.frame import spread_indices
from dsac_core.landmarks.landmark_map import LandmarkMap, quantised
from dsac_core.landmarks.places import describe_place, learn_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dsac_core.training.keypoint_view import KeypointView
    from dsac_core.training.landmark_config import LandmarkConfig
    from dsac_core.training.landmark_tracks import Tracks


def build_landmark_map(
    tracks: Tracks,
    views: Sequence[KeypointView],
    config: LandmarkConfig,
    generator: torch.Generator,
) -> LandmarkMap:
    """Keep the landmarks that cover all views best, each with its mean descriptor.

    Args:
        tracks: Of the views.
        views: The keypoints of the recording.
        config: How much is kept.
        generator: On the CPU, chooses among equals.
    """
    entered = torch.zeros(len(views), dtype=torch.bool)
    entered[sorted(spread_indices(len(views), config.most_views))] = True
    kept = _covering(tracks, entered, config.most_landmarks, generator)
    number = torch.full((len(tracks.points_T3),), -1)
    number[kept] = torch.arange(len(kept))
    landmark_O = number[tracks.track_O]
    sighted = landmark_O >= 0
    landmark_O, view_O, keypoint_O = (
        values[sighted] for values in (landmark_O, tracks.view_O, tracks.keypoint_O)
    )
    channels = views[0].descriptors_KC.shape[1]
    total = torch.zeros(len(kept), channels)
    for view, own in enumerate(views):
        mine = view_O == view
        total.index_add_(0, landmark_O[mine], own.descriptors_KC[keypoint_O[mine]].float())
    words = learn_words([view.descriptors_KC for view in views], generator)
    chosen = torch.nonzero(entered)[:, 0].tolist()
    places = [describe_place(views[view].descriptors_KC.float(), words) for view in chosen]
    lists = [landmark_O[view_O == view].sort().values for view in chosen]
    first = torch.tensor([0, *(len(some) for some in lists)]).cumsum(0)
    return LandmarkMap(
        points_L3=tracks.points_T3[kept].float(),
        descriptors_LC=quantised(functional.normalize(total, dim=1)),
        words_WC=words,
        places_VP=quantised(torch.stack(places)),
        first_V=first.to(torch.int32),
        sighted_O=torch.cat(lists).to(torch.int32),
    )


def _covering(
    tracks: Tracks, entered_V: torch.Tensor, most: int, generator: torch.Generator
) -> torch.Tensor:
    """Tracks [K] such that each view keeps its best: those that most views see.

    A track's place is its best rank among the tracks of any one view.
    """
    count = len(tracks.points_T3)
    sightings = torch.bincount(tracks.track_O, minlength=count).double()
    merit = sightings + 0.5 * torch.rand(count, generator=generator, dtype=torch.float64)
    mine = entered_V[tracks.view_O]
    track_O, view_O = tracks.track_O[mine], tracks.view_O[mine]
    order = merit[track_O].argsort(descending=True, stable=True)
    order = order[view_O[order].argsort(stable=True)]
    counts = torch.bincount(view_O, minlength=len(entered_V))
    rank = torch.arange(len(order)) - (counts.cumsum(0) - counts)[view_O[order]]
    best = torch.full((count,), torch.inf, dtype=torch.float64)
    best.scatter_reduce_(0, track_O[order], rank.double(), "amin")
    chosen = (best - 1e-3 * merit).argsort(stable=True)[: min(most, int(best.isfinite().sum()))]
    return chosen.sort().values
