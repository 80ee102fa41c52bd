# SPDX-License-Identifier: Apache-2.0
"""One pose from many hypotheses: argmax, soft argmax, or by chance."""

from __future__ import annotations

from typing import Literal

import torch

from dsac_core.geometry.se3 import inverse
from dsac_core.ransac.sampling import draw_by_weight
from dsac_core.solvers.kabsch import nearest_rotation

Selection = Literal["argmax", "softam", "dsac"]


def selection_probabilities(scores_BH: torch.Tensor, accepted_BH: torch.Tensor) -> torch.Tensor:
    """The softmax distribution over hypotheses [B x H] (Eq. 36); zeros where none is accepted.

    The scores have alpha in them already.
    """
    scores = scores_BH.masked_fill(~accepted_BH, -torch.inf)
    # A row of minus infinities has no softmax, nor a derivative.
    some = accepted_BH.any(dim=1, keepdim=True)
    return torch.softmax(torch.where(some, scores, 0.0), dim=1) * accepted_BH


def mean_pose(poses_BH34: torch.Tensor, probabilities_BH: torch.Tensor) -> torch.Tensor:
    """The soft argmax [B x 3 x 4] (SoftAM of DSAC, CVPR 2017, Eq. 4), differentiable.

    Camera centres are averaged, and rotations by their chordal mean: the rotation nearest to the
    average of the matrices. Averages of rotation vectors, as published, depend on the choice of
    the axes and fail at half a turn.
    """
    world_T_cam = inverse(poses_BH34)
    mean = (world_T_cam * probabilities_BH[..., None, None]).sum(dim=1)
    total = probabilities_BH.sum(dim=1)[:, None]
    centre = mean[..., 3] / torch.where(total > 0, total, 1.0)
    rotation = nearest_rotation(mean[..., :3])
    return inverse(torch.cat([rotation, centre[..., None]], dim=-1))


def select(
    poses_BH34: torch.Tensor,
    scores_BH: torch.Tensor,
    selection: Selection,
    generator: torch.Generator,
) -> torch.Tensor:
    """The pose [B x 3 x 4] that is refined to the answer (Eq. 4, 35).

    Args:
        poses_BH34: Hypotheses.
        scores_BH: With alpha in them; minus infinity for no hypothesis.
        selection: ``argmax`` of the scores; ``softam``, the mean by probability; ``dsac``, one
            drawn by probability.
        generator: Decides the draw of ``dsac``.
    """
    usable = scores_BH.isfinite()
    if selection == "softam":
        probabilities = selection_probabilities(scores_BH, usable)
        return mean_pose(torch.where(usable[..., None, None], poses_BH34, 0.0), probabilities)
    if selection == "dsac":
        probabilities = selection_probabilities(scores_BH, usable)
        index_B = draw_hypotheses(probabilities, 1, generator)[:, 0]
    else:
        index_B = scores_BH.argmax(dim=1)
    return poses_BH34[torch.arange(len(poses_BH34), device=index_B.device), index_B]


def draw_hypotheses(
    probabilities_BH: torch.Tensor, count: int, generator: torch.Generator
) -> torch.Tensor:
    """Indices [B x count] drawn by probability (Eq. 35); ``generator`` is on the CPU."""
    return draw_by_weight(probabilities_BH.detach(), count, generator)
