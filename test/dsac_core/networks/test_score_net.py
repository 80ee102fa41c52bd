# SPDX-License-Identifier: Apache-2.0
"""The score network."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.nn import functional

from dsac_core.errors import ConfigError
from dsac_core.networks.score_net import IMAGE_SIZE, ScoreNet, _area_shares

GRID = (5, 7)
CELLS = GRID[0] * GRID[1]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with torch.random.fork_rng(devices=[]):
        yield
    torch.set_num_threads(threads)


def make_net(grid: tuple[int, int] = GRID, threshold: float = 10.0, seed: int = 0) -> ScoreNet:
    torch.manual_seed(seed)
    return ScoreNet(grid, inlier_threshold=threshold)


def make_errors(*shape: int, seed: int = 1) -> torch.Tensor:
    """Residuals in px, from 0 to twice the largest that differs from larger ones."""
    return 200.0 * torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_has_the_published_size() -> None:
    net = make_net()
    assert sum(parameter.numel() for parameter in net.parameters()) == 6_287_585
    learnt = [layer for layer in net.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
    assert len(learnt) == 13
    convolutions = [layer for layer in learnt if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 10
    assert {layer.kernel_size for layer in convolutions} == {(3, 3)}


def test_it_sees_all_of_the_image() -> None:
    net = make_net((IMAGE_SIZE, IMAGE_SIZE)).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # all positive: no ReLU cuts anything off, and nothing cancels
        for parameter in net.parameters():
            parameter.uniform_(0.5, 1.5, generator=generator).div_(parameter[0].numel())
    errors = torch.full((1, 1, IMAGE_SIZE**2), 60.0).double().requires_grad_()
    net(errors, torch.ones(1, IMAGE_SIZE**2)).sum().backward()
    assert errors.grad is not None
    assert (errors.grad > 0).all()


def test_what_is_learnt_does_not_depend_on_the_grid() -> None:
    net, other = make_net((60, 80)), make_net((5, 7), seed=1)
    other.load_state_dict(net.state_dict())
    constant = torch.tensor([20.0])  # the same image on any grid
    torch.testing.assert_close(
        net(constant.expand(1, 1, 4800), torch.ones(1, 4800)),
        other(constant.expand(1, 1, CELLS), torch.ones(1, CELLS)),
    )


@pytest.mark.parametrize("grid", [(60, 80), (5, 7), (40, 40), (1, 1)])
@pytest.mark.parametrize("batch", [(2, 3), (1, 1), (1, 0)])
def test_one_score_per_hypothesis(grid: tuple[int, int], batch: tuple[int, int]) -> None:
    cells = grid[0] * grid[1]
    scores = make_net(grid)(make_errors(*batch, cells), torch.ones(batch[0], cells))
    assert scores.shape == batch
    assert scores.isfinite().all()


@pytest.mark.parametrize("seed", range(3))
def test_scores_of_a_fresh_network_are_small(seed: int) -> None:
    levels = torch.tensor([0.0, 0.1, 1.0, 10.0, 1e30])
    errors = make_errors(1, 5, CELLS) * levels[:, None]
    scores = make_net(seed=seed)(errors, torch.ones(1, CELLS))
    assert scores.abs().max() < 5.0
    assert scores.std() > 1e-3


@pytest.mark.parametrize("cells", [1, 5, 7, 40, 60, 80, 121])
def test_resampling_keeps_the_mean_and_what_is_constant(cells: int) -> None:
    shares = _area_shares(cells).double()
    assert shares.shape == (IMAGE_SIZE, cells)
    assert shares.min() >= 0
    torch.testing.assert_close(shares.sum(dim=1), torch.ones(IMAGE_SIZE).double())
    torch.testing.assert_close(
        shares.mean(dim=0), torch.full((cells,), 1.0 / cells).double(), atol=1e-7, rtol=0
    )


def test_resampling_is_exact_where_cells_fit() -> None:
    assert torch.equal(_area_shares(IMAGE_SIZE), torch.eye(IMAGE_SIZE))
    values = torch.randn(80, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(_area_shares(80) @ values, values.view(40, 2).mean(dim=1))
    torch.testing.assert_close(_area_shares(20) @ values[:20], values[:20].repeat_interleave(2))


def test_cells_come_row_by_row() -> None:
    net = make_net()
    seen: list[torch.Tensor] = []
    net.layers.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    errors = torch.full((1, 1, CELLS), 45.0)
    errors[0, 0, 6] = 100.0  # the last of the first row
    net(errors, torch.ones(1, CELLS))
    image = seen[0][0, 0]
    expected = torch.zeros(IMAGE_SIZE, IMAGE_SIZE)
    expected[:8, 35:] = 1.1
    expected[:8, 34] = 1.1 * 5 / 7  # 7 cells on 40 pixels: it starts at pixel 34 2/7
    torch.testing.assert_close(image, expected, atol=1e-5, rtol=0)


def test_the_unit_of_the_errors_does_not_matter() -> None:
    errors, weights = make_errors(2, 3, CELLS), torch.ones(2, CELLS)
    pixels = make_net(threshold=10.0)(errors, weights)
    metres = make_net(threshold=0.1)(0.01 * errors, weights)
    torch.testing.assert_close(metres, pixels, atol=1e-5, rtol=1e-5)


def test_gradient_in_float64() -> None:
    net, weights = make_net().double(), torch.ones(2, CELLS).double()
    weights[1, ::3] = 0.0
    errors = make_errors(2, 2, CELLS).double().requires_grad_()
    assert net(errors, weights).dtype == torch.float64
    assert torch.autograd.gradcheck(net, (errors, weights), fast_mode=True)


def test_gradient_against_central_differences() -> None:
    net, weights = make_net().double(), torch.ones(1, CELLS).double()
    errors = make_errors(1, 1, CELLS).double().requires_grad_()
    (gradient,) = torch.autograd.grad(net(errors, weights).sum(), errors)
    step = 1e-5  # px: hardly any ReLU has its kink so near
    for cell in range(0, CELLS, 3):
        shift = torch.zeros(CELLS).double()
        shift[cell] = step
        with torch.no_grad():
            change = net(errors + shift, weights) - net(errors - shift, weights)
        expected = change[0, 0] / (2 * step)
        torch.testing.assert_close(gradient[0, 0, cell], expected, atol=1e-10, rtol=1e-5)
    below = errors.detach()[0, 0] < 100.0
    assert below.any()
    assert not below.all()
    assert (gradient[0, 0].abs()[below] > 0).all()
    assert (gradient[0, 0][~below] == 0).all()


@pytest.mark.parametrize("value", [0.0, 3.0, 1e30, math.inf, math.nan])
def test_a_cell_of_weight_zero_makes_no_difference(value: float) -> None:
    net, weights = make_net(), torch.ones(2, CELLS)
    weights[0, 4] = weights[1, 11] = 0.0
    errors = make_errors(2, 3, CELLS)
    largest, changed = errors.clone(), errors.clone()
    largest[0, :, 4] = largest[1, :, 11] = 100.0
    changed[0, :, 4] = changed[1, :, 11] = value
    changed.requires_grad_()
    scores = net(changed, weights)
    assert torch.equal(scores, net(largest, torch.ones(2, CELLS)))
    scores.sum().backward()
    assert changed.grad is not None
    assert changed.grad.isfinite().all()
    assert (changed.grad[0, :, 4] == 0).all()
    assert (changed.grad[1, :, 11] == 0).all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_a_hypothesis_of_nothing_looks_like_one_that_nothing_fits() -> None:
    net, errors = make_net(), make_errors(1, 3, CELLS)
    errors[0, 0], errors[0, 1] = torch.nan, 1e9
    scores = net(errors, torch.ones(1, CELLS))
    torch.testing.assert_close(scores[0, 0], scores[0, 1])
    scores[0, 2].backward()  # the others are not used, and yet were in the batch
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())


def test_precision_and_layout_in_memory_are_up_to_the_caller() -> None:
    net, errors, weights = make_net(), make_errors(2, 3, CELLS), torch.ones(2, CELLS)
    scores = net(errors, weights)
    in_double = net(errors.double(), weights.double())
    assert in_double.dtype == torch.float64
    torch.testing.assert_close(in_double.float(), scores)
    transposed = errors.mT.contiguous().mT
    torch.testing.assert_close(net(transposed, weights), scores)


def test_a_score_does_not_depend_on_its_company() -> None:
    net, errors, weights = make_net(), make_errors(3, 4, CELLS), torch.ones(3, CELLS)
    weights[1, 20:] = 0.0
    together = net(errors, weights)
    for image in range(3):
        for hypothesis in range(4):
            alone = net(errors[image, hypothesis][None, None], weights[image][None])
            torch.testing.assert_close(alone[0, 0], together[image, hypothesis])
    assert torch.equal(net(errors, weights), together)


@pytest.mark.parametrize("cells", [0, CELLS - 1, CELLS + 1])
def test_another_number_of_cells_is_refused(cells: int) -> None:
    net = make_net()
    with pytest.raises(ConfigError, match=f"^score network: {cells} residuals .* 5 x 7 cells;.*$"):
        net(torch.ones(1, 2, cells), torch.ones(1, cells))


@pytest.mark.parametrize("grid", [(0, 7), (5, -1)])
def test_grids_without_cells_are_refused(grid: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=f"at least 1 x 1 cells, got {grid[0]} x {grid[1]}"):
        ScoreNet(grid)


@pytest.mark.parametrize("threshold", [0.0, -1.0, math.nan, math.inf])
def test_thresholds_that_cannot_be_are_refused(threshold: float) -> None:
    with pytest.raises(ConfigError, match="inlier_threshold must be positive, got"):
        ScoreNet(GRID, inlier_threshold=threshold)


def make_pairs(images: int, cells: int, generator: torch.Generator) -> torch.Tensor:
    """Residuals [images x 2 x cells], px, of a true pose, then of a wrong one.

    The wrong pose misses by little what the true one would fit, and has fewer outliers: the mean
    does not tell which is which.
    """

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    def with_outliers(errors: torch.Tensor, low: float, high: float) -> torch.Tensor:
        out = uniform(0.0, 1.0, images, cells) < uniform(low, high, images, 1)
        return torch.where(out, uniform(0.0, 300.0, images, cells), errors)

    fit = 3.0 * torch.randn(images, cells, 2, generator=generator).norm(dim=2)
    miss = uniform(15.0, 40.0, images, 1) * uniform(0.5, 1.5, images, cells)
    pair = with_outliers(fit, 0.3, 0.8), with_outliers(miss, 0.0, 0.6)
    return torch.stack(pair, dim=1)


def share_ranked_right(scores_K2: torch.Tensor) -> float:
    """Of all pairs of a true pose and a wrong one."""
    true, wrong = scores_K2.unbind(dim=1)
    return float((true[:, None] > wrong).double().mean())


def test_it_learns_to_rank_hypotheses() -> None:
    grid, images, unseen_images = (24, 32), 8, 60
    cells, generator = grid[0] * grid[1], torch.Generator().manual_seed(0)
    unseen, all_cells = (
        make_pairs(unseen_images, cells, generator),
        torch.ones(unseen_images, cells),
    )
    net = make_net(grid, seed=1)
    assert share_ranked_right(-unseen.clamp_max(100.0).mean(dim=2)) < 0.7
    with torch.no_grad():
        assert share_ranked_right(net(unseen, all_cells)) < 0.8
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
    for _ in range(24):
        scores = net(make_pairs(images, cells, generator), torch.ones(images, cells))
        loss = functional.softplus(scores[:, 1] - scores[:, 0]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        assert share_ranked_right(net(unseen, all_cells)) > 0.9
