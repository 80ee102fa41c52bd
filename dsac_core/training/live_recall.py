# SPDX-License-Identifier: Apache-2.0
"""How well a head under training localizes some held-out frames, for people to watch."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.data.frame import spread_indices
from dsac_core.geometry.pose import pose_error
from dsac_core.relocalizer import Relocalizer
from dsac_core.scene.confidence import USABLE_ROTATION, USABLE_TRANSLATION
from dsac_core.training.encoded_views import encode_view, view_errors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.networks.image_encoder import ImageEncoder
    from dsac_core.scene.scene_map import SceneMap
    from dsac_core.training.encoded_views import EncodedView

_FRAMES = 8
_CHECKS = 8  # in the course of the training
_SHARE = 0.03  # of the time spent on the map so far
_SECONDS_PER_FRAME = 0.1  # to encode it and estimate its pose, as long as that was not measured


class LiveRecall:
    """Tries the head now and then, as often as it costs little; the weights stay as they are."""

    def __init__(
        self, frames: Sequence[Frame], reference: Camera, encoder: ImageEncoder, least: float
    ) -> None:
        """Take held-out frames; they are encoded when they are first needed.

        Args:
            frames: Some of them are used.
            reference: The camera to whose focal length the map resizes images.
            encoder: Of the map.
            least: Reliability of the cells that are used.
        """
        self._frames = [frames[index] for index in sorted(spread_indices(len(frames), _FRAMES))]
        self._reference, self._encoder, self._least = reference, encoder, least
        self._views: list[EncodedView] = []
        self._next_mark = 1.0 / _CHECKS
        self._spent = 0.0
        self._expected = _SECONDS_PER_FRAME * len(self._frames)
        self.words = ""  # what the last check found

    def watch(self, head: CoordinateHead, done: float, elapsed: float) -> None:
        """Check the head if it is time, and if there is time.

        Args:
            head: Under training.
            done: How far training is, in [0, 1].
            elapsed: Seconds that were spent on the map so far.
        """
        affordable = self._spent + self._expected <= _SHARE * elapsed
        if not self._frames or done < self._next_mark or not affordable:
            return
        self._next_mark = (int(done * _CHECKS) + 1) / _CHECKS
        started = time.perf_counter()
        good = self.check(head)
        self.words = f"{good} of {len(self._frames)} held-out without landmarks within 10 cm/5 deg"
        taken = time.perf_counter() - started
        # The first check encoded the frames, which is most of what it took.
        self._expected = 0.5 * taken if self._spent == 0.0 else taken
        self._spent += taken

    def check(self, head: CoordinateHead) -> int:
        """How many of the frames are localized within 10 cm and 5 degrees."""
        self._views = self._views or [
            encode_view(frame, self._reference, self._encoder, self._least)
            for frame in self._frames
        ]
        errors = view_errors(head, self._views, self._encoder.dtype)
        return int(((errors[:, 0] < USABLE_TRANSLATION) & (errors[:, 1] < USABLE_ROTATION)).sum())


def localized_well(scene: SceneMap, frames: Sequence[Frame], device: torch.device) -> int:
    """How many of the frames a map localizes within 10 cm and 5 degrees, from colour alone."""
    relocalizer = Relocalizer(scene, device=str(device))
    poses = [(relocalizer(frame.image, frame.camera).world_T_cam, frame) for frame in frames]
    return sum(pose is not None and _is_near(pose, frame.world_T_cam) for pose, frame in poses)


def _is_near(pose: NDArray[np.float64], truth: NDArray[np.float64]) -> bool:
    distance, angle = pose_error(pose, truth)
    return distance < USABLE_TRANSLATION and angle < USABLE_ROTATION
