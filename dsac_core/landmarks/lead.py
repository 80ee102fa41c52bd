# SPDX-License-Identifier: Apache-2.0
"""How much more of the landmarks than of the cells agree in one view, and what follows from it.

Cells are wrong together: away from the walk they agree on a pose beside the true one. Landmarks
are found by what they look like, so they agree or do not, each on its own. Where their share falls
less than that of the cells, as compared with views near the walk, they deserve more weight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

LARGEST_WEIGHT = 100.0  # of a landmark beside a cell: so heavy, they decide alone
_POWER = 8  # steep: a lead that is larger by a tenth doubles the weight
_FEW = 8  # landmarks that agree: of fewer a share says nothing


def landmark_lead(inliers_N: torch.Tensor, is_landmark_N: torch.Tensor) -> float | None:
    """The share of landmarks that are inliers, over that of the cells.

    Args:
        inliers_N: Of a pose, bool.
        is_landmark_N: Bool; the others are cells.

    Returns:
        The ratio, as if at least one cell agreed; None where there are no cells, or where too few
        landmarks agree to tell.
    """
    cells = int((~is_landmark_N).sum())
    agreeing = int((inliers_N & is_landmark_N).sum())
    if cells == 0 or agreeing < _FEW:
        return None
    agreeing_cells = int(inliers_N.sum()) - agreeing
    of_landmarks = agreeing / int(is_landmark_N.sum())
    return of_landmarks / (max(agreeing_cells, 1) / cells)


def weight_in_view(weight: float, usual_lead: float, lead: float) -> float:
    """The weight of a landmark in a view, from that in views near the walk.

    Args:
        weight: Near the walk.
        usual_lead: The `landmark_lead` there.
        lead: In this view; one below the usual changes nothing.
    """
    heavier = weight * max(1.0, lead / usual_lead) ** _POWER
    return max(weight, min(heavier, LARGEST_WEIGHT))
