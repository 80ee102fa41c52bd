# SPDX-License-Identifier: Apache-2.0
"""Which descriptors of two images go together."""

from __future__ import annotations

import torch


def mutual_nearest(similarity_AB: torch.Tensor, least: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows [K] and columns [K] that are each other's most similar, and at least so similar.

    Each comes once at most: of rows that are equally similar to a column the first has it.
    """
    if 0 in similarity_AB.shape:
        nothing = torch.zeros(0, dtype=torch.long, device=similarity_AB.device)
        return nothing, nothing
    best, column = similarity_AB.max(dim=1)
    best_back = similarity_AB.amax(dim=0)[column]
    rows = torch.nonzero((best >= least) & (best == best_back))[:, 0]
    columns = column[rows]
    first = rows.new_full(similarity_AB.shape[1:], len(best)).scatter_reduce_(
        0, columns, rows, "amin"
    )
    alone = first[columns] == rows
    return rows[alone], columns[alone]
