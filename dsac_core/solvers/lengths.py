# SPDX-License-Identifier: Apache-2.0
"""Lengths of residual vectors, with a derivative where they vanish."""

from __future__ import annotations

from typing import Any

import torch


class _Length(torch.autograd.Function):
    """The components' Euclidean length; two passes over memory each way instead of ten."""

    @staticmethod
    def forward(
        ctx: Any, invalid: torch.Tensor | None, value: float, *components: torch.Tensor
    ) -> Any:
        squared = components[0].square()
        for component in components[1:]:
            squared.addcmul_(component, component)
        length = squared.sqrt_()
        if invalid is not None:
            length.masked_fill_(invalid, value)
        ctx.save_for_backward(length, *components)
        ctx.invalid = invalid
        return length

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        length, *components = ctx.saved_tensors
        # At zero the components vanish as well: any finite factor gives the derivative zero.
        share = gradient / length.clamp_min(torch.finfo(length.dtype).tiny ** 0.5)
        if ctx.invalid is not None:
            share.masked_fill_(ctx.invalid, 0.0)
        return None, None, *(share * component for component in components)


def vector_lengths(
    components: tuple[torch.Tensor, ...], invalid: torch.Tensor | None = None, value: float = 0.0
) -> torch.Tensor:
    """sqrt(x^2 + y^2 + ...) with derivative zero at zero, and a constant where ``invalid``.

    Args:
        components: Of the vectors, all of one shape.
        invalid: bool; where it is set, the length is ``value`` and has no derivative.
        value: See above.
    """
    length: torch.Tensor = _Length.apply(invalid, value, *components)  # type: ignore[no-untyped-call]
    return length
