# SPDX-License-Identifier: Apache-2.0
"""One encoder and one keypoint detector for all scene maps of a process.

Where several maps are tried on an image, or it is looked at again to draw it, it is encoded once.
"""

from __future__ import annotations

from functools import lru_cache

import torch

from dsac_core.networks.image_encoder import EncodedImage, ImageEncoder
from dsac_core.networks.keypoint_detector import KeypointDetector, Keypoints


class SharedEncoder:
    """Knows the last image. May be used from several threads."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        """Load the weights."""
        self.dtype = dtype
        self._encoder = ImageEncoder(device, dtype)
        self._detector = KeypointDetector(device, dtype)
        self._encoded: tuple[torch.Tensor, EncodedImage] | None = None
        self._found: tuple[EncodedImage, int, Keypoints] | None = None

    def __call__(self, gray_HW: torch.Tensor) -> EncodedImage:
        """As of ``ImageEncoder``."""
        last = self._encoded
        if last is not None and torch.equal(last[0], gray_HW):
            return last[1]
        encoded: EncodedImage = self._encoder(gray_HW)
        # A copy, as the image may be in a buffer into which the next one will be written.
        self._encoded = gray_HW.clone(), encoded
        return encoded

    def keypoints(self, gray_HW: torch.Tensor, encoded: EncodedImage, most: int) -> Keypoints:
        """As of ``KeypointDetector``."""
        last = self._found
        if last is not None and last[0] is encoded and last[1] == most:
            return last[2]
        found: Keypoints = self._detector(gray_HW, encoded, most)
        self._found = encoded, most, found
        return found


@lru_cache(maxsize=2)
def shared_encoder(device: torch.device, dtype: torch.dtype) -> SharedEncoder:
    """That of a device, in a precision.

    Raises:
        ConfigError: The package that ships the weights is not installed.
    """
    return SharedEncoder(device, dtype)
