# SPDX-License-Identifier: Apache-2.0
"""Predicted scene points in the images that they were predicted from."""

from __future__ import annotations

import torch


def project(
    points_BN3: torch.Tensor,
    cam_T_world_B34: torch.Tensor,
    focal_B2: torch.Tensor,
    min_depth: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Points in the camera's frame [B x N x 3], metres, and their pixels [B x N x 2] (Eq. 9).

    Pixels count from the principal point. A point nearer than ``min_depth``, or behind the camera,
    is projected as if it were that far: its pixel means nothing, but it is finite.
    """
    in_camera = points_BN3 @ cam_T_world_B34[..., :3].transpose(-2, -1)
    in_camera = in_camera + cam_T_world_B34[:, None, :, 3]
    depth = in_camera[..., 2:].clamp_min(min_depth)
    return in_camera, in_camera[..., :2] / depth * focal_B2[:, None]
