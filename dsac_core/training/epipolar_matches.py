# SPDX-License-Identifier: Apache-2.0
"""Which keypoints of two images show the same, where both poses are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from dsac_core.landmarks.mutual_nearest import mutual_nearest

if TYPE_CHECKING:
    from dsac_core.training.keypoint_view import KeypointView


def epipolar_matches(
    first: KeypointView, second: KeypointView, *, max_error: float, min_similarity: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of matching keypoints of two images whose poses are known.

    A match lies near its epipolar line (Hartley and Zisserman, section 9), which keeps most of
    what looks alike from being compared at all.

    Args:
        first: An image.
        second: Another image.
        max_error: Of a keypoint of the second from its line, px.
        min_similarity: Cosine of the descriptors.
    """
    turn = second.cam_T_world_34[:, :3] @ first.cam_T_world_34[:, :3].T
    shift = second.cam_T_world_34[:, 3] - turn @ first.cam_T_world_34[:, 3]
    essential = torch.linalg.cross(shift.expand(3, 3), turn.T).T.float()
    focal_1, focal_2 = first.intrinsics_4[:2], second.intrinsics_4[:2]
    ray_1 = functional.pad(first.pixels_K2 / focal_1, (0, 1), value=1.0)
    line = ray_1 @ essential.T
    line = torch.cat([line[:, :2] / focal_2, line[:, 2:]], dim=1)
    line = line / line[:, :2].norm(dim=1, keepdim=True).clamp_min(1e-12)
    pixels = functional.pad(second.pixels_K2, (0, 1), value=1.0)

    def far(rows: slice) -> torch.Tensor:
        distance: torch.Tensor = line[rows] @ pixels.T
        return distance.abs_().gt_(max_error)  # 1.0 where it is

    one, other = first.descriptors_KC.float(), second.descriptors_KC.float()
    return mutual_nearest(one, other, min_similarity, far)
