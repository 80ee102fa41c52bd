# SPDX-License-Identifier: Apache-2.0
"""Held-out frames, encoded once, to try a head on while it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dsac_core.geometry.images import resize_to_focal_length, to_gray
from dsac_core.geometry.pose import pose_error
from dsac_core.networks.row_lookup import rows_of
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.relocalizer import DEFAULT_MAX_CELLS, DEFAULT_RANSAC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.networks.image_encoder import ImageEncoder


class EncodedView(NamedTuple):
    """The most reliable cells of a frame, as a relocalizer takes them."""

    features_NC: torch.Tensor
    pixels_N2: torch.Tensor  # without distortion
    camera: Camera
    world_T_cam: NDArray[np.float64]


def encode_view(
    frame: Frame, reference: Camera, encoder: ImageEncoder, min_reliability: float
) -> EncodedView:
    """Encode a frame.

    Args:
        frame: With its pose.
        reference: The camera to whose focal length the map resizes images.
        encoder: Of the map; its device is that of the result.
        min_reliability: Of the cells that are used.
    """
    image, camera = resize_to_focal_length(frame.image, frame.camera, reference)
    device = next(encoder.parameters()).device
    encoded = encoder(torch.from_numpy(to_gray(image)).to(device))
    cells = encoded.most_reliable(min_reliability, DEFAULT_MAX_CELLS)
    pixels = encoded.pixels_N2[cells].cpu().double().numpy()
    ideal = torch.from_numpy(camera.undistort(pixels)).float().to(device)
    return EncodedView(rows_of(encoded.features_NC, cells), ideal, camera, frame.world_T_cam)


@torch.inference_mode()
def view_errors(
    head: CoordinateHead, views: Sequence[EncodedView], dtype: torch.dtype
) -> NDArray[np.float64]:
    """How far the pose of each view is off, in metres and radians [N x 2]; infinite without one.

    Args:
        head: Is left in the mode in which it is.
        views: On the device of the head.
        dtype: In which the head computes, as a relocalizer has it.
    """
    training = head.training
    head.eval()
    errors = [_error(head, view, dtype) for view in views]
    head.train(training)
    return np.array(errors, dtype=np.float64).reshape(-1, 2)


def _error(head: CoordinateHead, view: EncodedView, dtype: torch.dtype) -> tuple[float, float]:
    device, low = view.pixels_N2.device.type, dtype != torch.float32
    with torch.autocast(device, dtype if low else None, enabled=low):
        points = head(view.features_NC)
    correspondences = Correspondences.of_image(view.pixels_N2, points, view.camera)
    generator = torch.Generator().manual_seed(0)
    result = estimate_poses(correspondences, DEFAULT_RANSAC, generator)
    if not result.found_B[0]:
        return np.inf, np.inf
    return pose_error(result.world_T_cam(), view.world_T_cam)
