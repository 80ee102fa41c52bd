# SPDX-License-Identifier: Apache-2.0
"""Mutual nearest neighbours among the descriptors of two images, or of an image and a map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.networks.fused_layers import product_of_rows
from dsac_core.networks.row_lookup import of_few_sizes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROWS = 500  # of a block, whose similarities stay in the processor's cache
_MORE_THAN_A_COSINE = 2.0


def mutual_nearest(
    one_AC: torch.Tensor,
    other_BC: torch.Tensor,
    least: float,
    excluded: Callable[[slice], torch.Tensor] | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows [K] of one and of the other that are each other's most similar, and at least so similar.

    Each comes once at most: of rows that are equally similar to one of the other the first has it.

    Args:
        one_AC: Descriptors of length 1, of any floating type.
        other_BC: As many components, of the same type and device.
        least: Cosine.
        excluded: Of some rows of one, 1.0 for those of the other that they do not match, else 0.0:
            float32 [rows x B].
    """
    if len(one_AC) == 0 or len(other_BC) == 0:
        nothing = torch.zeros(0, dtype=torch.long, device=one_AC.device)
        return nothing, nothing
    best, column, best_of_column = _best(_similarities(one_AC, other_BC, excluded))
    rows = torch.nonzero((best >= least) & (best == best_of_column[column]))[:, 0]
    columns = column[rows]
    first = rows.new_full((len(other_BC),), len(one_AC)).scatter_reduce_(0, columns, rows, "amin")
    alone = first[columns] == rows
    return rows[alone], columns[alone]


def _similarities(
    one_AC: torch.Tensor,
    other_BC: torch.Tensor,
    excluded: Callable[[slice], torch.Tensor] | None,
) -> Iterator[torch.Tensor]:
    """Cosines [rows x B] of one block of rows after the other, in float32."""
    block = _ROWS if one_AC.device.type == "cpu" else len(one_AC)
    filled_BC = of_few_sizes(other_BC)
    for start in range(0, len(one_AC), block):
        rows = slice(start, min(start + block, len(one_AC)))
        products = product_of_rows(of_few_sizes(one_AC[rows]), filled_BC)
        similarity = products[: rows.stop - start, : len(other_BC)].float()
        if excluded is not None:
            similarity.sub_(excluded(rows), alpha=_MORE_THAN_A_COSINE)
        yield similarity


def _best(blocks: Iterator[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The best of each row and where it stands, and the best of each column."""
    found = [_best_of_block(block) for block in blocks]
    best, column, best_of_column = zip(*found, strict=True)
    return torch.cat(best), torch.cat(column), torch.stack(best_of_column).amax(dim=0)


def _best_of_block(similarity: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    if similarity.device.type != "cpu":
        best, column = similarity.max(dim=1)
        return best, column, similarity.amax(dim=0)
    values = similarity.numpy()  # which takes a fifth of PyTorch's time for this
    column = values.argmax(axis=1)
    best = values[np.arange(len(values)), column]
    of_column = values.max(axis=0)
    return torch.from_numpy(best), torch.from_numpy(column), torch.from_numpy(of_column)
