# SPDX-License-Identifier: Apache-2.0
"""The landmarks that an image shows: recognise the place, then match what is seen from there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

from dsac_core.landmarks.landmark_map import QUANTA
from dsac_core.landmarks.mutual_nearest import mutual_nearest
from dsac_core.landmarks.places import describe_place
from dsac_core.networks.row_lookup import rows_of

if TYPE_CHECKING:
    from dsac_core.landmarks.landmark_map import LandmarkMap
    from dsac_core.networks.keypoint_detector import Keypoints

_VIEWS = 10  # that are most like the image
_LEAST_SIMILARITY = 0.82  # cosine of the descriptors of a match: XFeat's own threshold


class LandmarkMatches(NamedTuple):
    """Keypoints and the landmarks that they show."""

    keypoint_M: torch.Tensor
    points_M3: torch.Tensor  # metres


class LandmarkMatcher:
    """A map's landmarks on one device."""

    def __init__(
        self, landmarks: LandmarkMap, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        """Copy the landmarks there, to be compared in ``dtype``."""
        self._points = landmarks.points_L3.to(device)
        self._descriptors = (landmarks.descriptors_LC.to(device).float() / QUANTA).to(dtype)
        self._words = landmarks.words_WC.to(device)
        self._places = landmarks.places_VP.to(device).float() / QUANTA
        self._first = landmarks.first_V.tolist()
        self._sighted = landmarks.sighted_O.to(device).long()

    @torch.inference_mode()
    def __call__(self, keypoints: Keypoints) -> LandmarkMatches:
        """Match with what the views see that look most like the image."""
        device = self._points.device
        if len(keypoints.descriptors_KC) == 0 or len(self._points) == 0:
            nothing = torch.zeros(0, dtype=torch.long, device=device)
            return LandmarkMatches(nothing, self._points[:0])
        place = describe_place(keypoints.descriptors_KC, self._words)
        likely = (self._places @ place).topk(min(_VIEWS, len(self._places))).indices.tolist()
        lists = [self._sighted[self._first[view] : self._first[view + 1]] for view in likely]
        seen = torch.zeros(len(self._points), dtype=torch.bool, device=device)
        seen[torch.cat(lists)] = True
        candidates = torch.nonzero(seen)[:, 0]
        descriptors = keypoints.descriptors_KC.to(self._descriptors.dtype)
        seen_descriptors = rows_of(self._descriptors, candidates)
        rows, columns = mutual_nearest(seen_descriptors, descriptors, _LEAST_SIMILARITY)
        return LandmarkMatches(columns, self._points[candidates[rows]])
