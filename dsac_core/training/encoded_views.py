# SPDX-License-Identifier: Apache-2.0
"""Held-out frames, encoded once, to try a head on while it learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from dsac_core.geometry.images import depth_at, resize_to_focal_length, to_gray
from dsac_core.geometry.pose import invert, pose_error
from dsac_core.ransac.correspondences import Correspondences
from dsac_core.ransac.estimate import estimate_poses
from dsac_core.relocalizer import DEFAULT_DEPTH_RANSAC, DEFAULT_RANSAC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.data.frame import Frame
    from dsac_core.geometry.camera import Camera
    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.networks.image_encoder import ImageEncoder

_MAX_CELLS = 3000  # as a relocalizer uses


class EncodedView(NamedTuple):
    """The most reliable cells of a frame, as a relocalizer takes them."""

    features_NC: torch.Tensor
    pixels_N2: torch.Tensor  # without distortion
    camera: Camera
    world_T_cam: NDArray[np.float64]
    depth_N: torch.Tensor | None = None  # metres, where the frame has it


def encode_view(
    frame: Frame, reference: Camera, encoder: ImageEncoder, min_reliability: float
) -> EncodedView:
    """Encode a frame.

    Args:
        frame: With its pose, and with depth or without.
        reference: The camera to whose focal length the map resizes images.
        encoder: Of the map; its device is that of the result.
        min_reliability: Of the cells that are used.
    """
    image, camera = resize_to_focal_length(frame.image, frame.camera, reference)
    device = next(encoder.parameters()).device
    encoded = encoder(torch.from_numpy(to_gray(image)).to(device))
    order = encoded.reliability_N.argsort(descending=True, stable=True)
    usable = int((encoded.reliability_N >= min_reliability).sum())
    cells = order[: min(_MAX_CELLS, usable)]
    pixels = encoded.pixels_N2[cells].cpu().double().numpy()
    depth = None
    if frame.depth is not None:
        depth = torch.from_numpy(depth_at(frame.depth, pixels, camera)).to(device)
    ideal = torch.from_numpy(camera.undistort(pixels)).float().to(device)
    return EncodedView(encoded.features_NC[cells], ideal, camera, frame.world_T_cam, depth)


@torch.inference_mode()
def view_errors(
    head: CoordinateHead,
    views: Sequence[EncodedView],
    dtype: torch.dtype,
    *,
    with_depth: bool = False,
) -> NDArray[np.float64]:
    """Metres and radians [N x 2] by which the pose of each view is off; infinite without one.

    Args:
        head: Is left in the mode in which it is.
        views: On the device of the head.
        dtype: In which the head computes, as a relocalizer has it.
        with_depth: Use the views' depth.
    """
    training = head.training
    head.eval()
    errors = [_error(head, view, dtype, with_depth=with_depth) for view in views]
    head.train(training)
    return np.array(errors, dtype=np.float64).reshape(-1, 2)


def _error(
    head: CoordinateHead, view: EncodedView, dtype: torch.dtype, *, with_depth: bool
) -> tuple[float, float]:
    device, low = view.pixels_N2.device.type, dtype != torch.float32
    with torch.autocast(device, dtype if low else None, enabled=low):
        predicted = head.predict(view.features_NC)
    depth = view.depth_N if with_depth else None
    correspondences = Correspondences.of_image(
        view.pixels_N2, predicted.points_N3, view.camera, predicted.weights_N, depth
    )
    ransac = DEFAULT_RANSAC if depth is None else DEFAULT_DEPTH_RANSAC
    result = estimate_poses(correspondences, ransac, torch.Generator().manual_seed(0))
    if not result.found_B[0]:
        return np.inf, np.inf
    cam_T_world = np.eye(4)
    cam_T_world[:3] = result.cam_T_world_B34[0].double().cpu().numpy()
    return pose_error(invert(cam_T_world), view.world_T_cam)
