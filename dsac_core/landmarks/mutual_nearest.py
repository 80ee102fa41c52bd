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
    best, column, best_of_column = _best(similarity_AB)
    rows = torch.nonzero((best >= least) & (best == best_of_column[column]))[:, 0]
    columns = column[rows]
    first = rows.new_full(similarity_AB.shape[1:], len(best)).scatter_reduce_(
        0, columns, rows, "amin"
    )
    alone = first[columns] == rows
    return rows[alone], columns[alone]


def _best(similarity_AB: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best of each row and where it stands, and the best of each column."""
    if similarity_AB.device.type != "cpu":
        best, column = similarity_AB.max(dim=1)
        return best, column, similarity_AB.amax(dim=0)
    values = similarity_AB.numpy()  # which takes a fifth of PyTorch's time for this
    column = torch.from_numpy(values.argmax(axis=1))
    best = similarity_AB.gather(1, column[:, None])[:, 0]
    return best, column, torch.from_numpy(values.max(axis=0))
