# SPDX-License-Identifier: Apache-2.0
"""Muon against singular values and against PyTorch's own, where it has one."""

from __future__ import annotations

import pytest
import torch

from dsac_core.training.muon import Muon, orthogonalize


@pytest.mark.parametrize("shape", [(32, 32), (16, 48), (48, 16)])
def test_singular_values_come_near_one_and_directions_stay(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    matrix = torch.randn(shape, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    result = orthogonalize(matrix)
    in_own_axes = u.T @ result @ v.T
    values = in_own_axes.diagonal()
    assert (in_own_axes - torch.diag(values)).abs().max() < 1e-9
    assert values.median() > 0.65
    assert values.max() < 1.3


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="PyTorch has its own from 2.9 on")
@pytest.mark.parametrize("shape", [(24, 24), (40, 20)])
def test_steps_go_where_those_of_pytorch_go(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    start = torch.randn(shape)
    ours, theirs = torch.nn.Parameter(start.clone()), torch.nn.Parameter(start.clone())
    optimizers = Muon([ours], lr=0.02), torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0)
    for _ in range(5):
        gradient = torch.randn(shape)
        ours.grad, theirs.grad = gradient.clone(), gradient.clone()
        for optimizer in optimizers:
            optimizer.step()
    our_way, their_way = ours - start, theirs - start  # with other polynomials than these
    assert their_way.norm() > 0.1
    assert 0.8 < our_way.norm() / their_way.norm() < 1.5
    assert torch.cosine_similarity(our_way.flatten(), their_way.flatten(), dim=0) > 0.97


def test_matrices_of_one_shape_together_step_as_each_alone() -> None:
    torch.manual_seed(0)
    starts, gradients = torch.randn(3, 12, 12), torch.randn(3, 12, 12)
    together = [torch.nn.Parameter(start.clone()) for start in starts]
    alone = [torch.nn.Parameter(start.clone()) for start in starts]
    optimizers = [Muon(together, precision=torch.float32)]
    optimizers += [Muon([each], precision=torch.float32) for each in alone]
    for parameters in (together, alone):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient.clone()
    for optimizer in optimizers:
        optimizer.step()
    for one, other, start in zip(together, alone, starts, strict=True):
        assert (one - start).norm() > 0.01
        assert torch.allclose(one, other, atol=1e-6)


def test_singular_values_down_to_a_hundredth_come_near_one() -> None:
    torch.manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(24, 24, dtype=torch.float64)).Q for _ in range(2))
    values = torch.logspace(-2, 0, 24, dtype=torch.float64)
    norm = values.norm()
    # The matrix is divided by its norm first, so only those above a hundredth of it are promised.
    result = torch.linalg.svdvals(orthogonalize(u @ torch.diag(values) @ v.T))
    promised = int((values / (1.01 * norm) >= 0.01).sum())
    assert ((result - 1).abs() < 0.28).sum() >= promised


def test_it_minimises_and_leaves_alone_what_has_no_gradient() -> None:
    torch.manual_seed(0)
    target = torch.linalg.qr(torch.randn(8, 8)).Q
    learned, idle = torch.nn.Parameter(torch.zeros(8, 8)), torch.nn.Parameter(torch.ones(8, 8))
    optimizer = Muon([learned, idle], lr=0.05, precision=torch.float32)
    for step in range(100):
        for group in optimizer.param_groups:
            group["lr"] = 0.05 * (1 - step / 100)
        optimizer.zero_grad()
        (learned - target).square().sum().backward()
        optimizer.step()
    assert (learned - target).norm() < 0.1
    assert torch.equal(idle, torch.ones(8, 8))


def test_only_matrices_are_taken() -> None:
    with pytest.raises(ValueError, match="takes matrices"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
