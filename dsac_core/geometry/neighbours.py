# SPDX-License-Identifier: Apache-2.0
"""Which other views show what one view shows, from far enough beside it."""

from __future__ import annotations

import math

import torch

_TURN_SCALE = math.radians(20.0)  # such a turn costs as much as a baseline e times too long
_WORST_COST = 2.0  # beyond it a view is no neighbour


def choose_neighbours(
    centre_M3: torch.Tensor,
    axis_M3: torch.Tensor,
    view: int,
    *,
    baseline: float,
    count: int,
    without: torch.Tensor | None = None,
) -> list[int]:
    """Views that look the same way from about ``baseline`` metres beside, on various sides.

    Args:
        centre_M3: Positions of the cameras, metres.
        axis_M3: Their optical axes, unit vectors.
        view: Whose neighbours.
        baseline: The distance that is wanted.
        count: Neighbours at most.
        without: Views that are none.
    """
    length = (centre_M3 - centre_M3[view]).norm(dim=1)
    turn = (axis_M3 @ axis_M3[view]).clamp(-1.0, 1.0).acos()
    cost = (length.clamp_min(1e-9) / baseline).log().abs() + turn / _TURN_SCALE
    cost[view] = torch.inf
    if without is not None:
        cost[without] = torch.inf
    crowded = torch.where(cost < _WORST_COST, cost, torch.inf)
    chosen: list[int] = []
    for _ in range(min(count, len(cost) - 1)):
        best = int(crowded.argmin())
        if not math.isfinite(float(crowded[best])):
            break
        chosen.append(best)
        apart = (centre_M3 - centre_M3[best]).norm(dim=1)
        crowded += torch.exp(-((2.0 * apart / baseline) ** 2))
        crowded[best] = torch.inf
    return chosen
