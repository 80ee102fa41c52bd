# SPDX-License-Identifier: Apache-2.0
"""Which descriptors of two images go together."""

from __future__ import annotations

import torch


def mutual_nearest(similarity_AB: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows [K] and columns [K] that are each other's most similar, and at least so similar."""
    if 0 in similarity_AB.shape:
        nothing = torch.zeros(0, dtype=torch.long, device=similarity_AB.device)
        return nothing, nothing
    best, column = similarity_AB.max(dim=1)
    rows = torch.nonzero(best >= least)[:, 0]
    columns = column[rows]
    back = similarity_AB[:, columns].argmax(dim=0)
    mutual = back == rows
    return rows[mutual], columns[mutual]
