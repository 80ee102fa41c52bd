# SPDX-License-Identifier: Apache-2.0
"""Muon: momentum whose matrices are made orthogonal before each step.

Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024. A gradient of a
hidden layer is nearly of low rank, and a step along it neglects most directions; the nearest
orthogonal matrix steps along all of them alike. The head learns a scene in half of the time that
AdamW needs for it. PyTorch has a Muon from version 2.9 on; older ones are supported too.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

# Odd quintics a x + b x^3 + c x^5 that one after the other bring singular values from [0.01, 1] to
# within 0.27 of one: each is the minimax approximation of one on the interval that the one before
# leaves (Amsel et al., "The Polar Express", 2025). Smaller values grow by a factor of 78.
_QUINTICS = (
    (8.0934, -23.6205, 17.4462),
    (3.6366, -2.7219, 0.5365),
    (2.6613, -1.9772, 0.4526),
)


class Muon(torch.optim.Optimizer):
    """For the weight matrices of hidden layers; other parameters need another optimizer.

    Raises:
        ValueError: A parameter is no matrix.
    """

    def __init__(
        self,
        matrices: Iterable[torch.nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        precision: torch.dtype = torch.bfloat16,
    ) -> None:
        """Take the matrices; ``lr`` is the spectral norm of a step (of a square matrix)."""
        super().__init__(list(matrices), {"lr": lr, "momentum": momentum})
        self._precision = precision
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    msg = f"Muon takes matrices, got a parameter of shape {tuple(parameter.shape)}"
                    raise ValueError(msg)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Take one step with Nesterov momentum; parameters without a gradient rest."""
        for group in self.param_groups:
            updates = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                state["momentum"].lerp_(parameter.grad, 1.0 - group["momentum"])
                update = parameter.grad.lerp(state["momentum"], group["momentum"])
                updates[tuple(parameter.shape)].append((parameter, update))
            for (rows, columns), pairs in updates.items():
                rate = group["lr"] * max(1.0, rows / columns) ** 0.5
                stacked = torch.stack([update for _, update in pairs])
                orthogonal = orthogonalize(stacked.to(self._precision)).to(stacked.dtype)
                for (parameter, _), step in zip(pairs, orthogonal, strict=True):
                    parameter.add_(step, alpha=-rate)


def orthogonalize(matrices: torch.Tensor) -> torch.Tensor:
    """The nearest orthogonal matrix [... x rows x columns], roughly: singular values near one.

    Polynomials of the matrix alone, in its precision; they tolerate bfloat16.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).reshape(-1, *sorted(matrices.shape[-2:]))
    x = x / (1.01 * x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for a, b, c in _QUINTICS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape)
