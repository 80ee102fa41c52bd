# SPDX-License-Identifier: Apache-2.0
"""Depth of training cells from colour and poses alone: a plane sweep over frozen features.

A reprojection loss leaves the depth of a cell open until views from elsewhere have pinned it, and
views beyond the walk never come. But the encoder's features of two views of one point are alike
already, before anything is trained. So each cell is moved along its ray (Collins, "A space-sweep
approach to true multi-image matching", CVPR 1996), and where its feature agrees with what several
other images show there, and nowhere else, that is its depth. It is good to some ten percent: enough
to say which predictions are valid, and where to pull the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from dsac_core.errors import ConfigError
from dsac_core.progress import silent
from dsac_core.training.in_threads import in_threads
from dsac_core.training.stereo_views import StereoViews

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from dsac_core.progress import Progress
    from dsac_core.training.cell_buffer import CellBuffer

_LEAST_EXTENT = 0.01  # metres, of the cameras: less is how exact poses are, and no baseline
_LADDER_IMAGES = 12  # that try each length of baseline, to find the depth of a scene
_LADDER_PARALLAX = (0.02, 0.5)  # baseline over depth, the range of depths tried with each
_MOST_LADDER_CELLS = 400  # of each of these images
_RANGE_QUANTILES = (0.02, 0.98)  # of the depths found that way
_RANGE_MARGIN = 2.0  # a factor, beyond these quantiles
_BESIDE = 3  # hypotheses from the best: one place still, as features are not that sharp
_FEWEST_HYPOTHESES = 2 * _BESIDE + 6
_SCALE_IMAGES = 80  # whose measured depth is compared with the estimated one
_MOST_SCALE_CELLS = 300  # of each of these images
_FEWEST_SCALE_CELLS = 1000  # in all, for the scale to be known to some tenths of a percent
_FEWEST_FOUND = 50  # cells, for their depths to say something about the scene

_Sought = tuple[int, torch.Tensor]  # an image, and which of its cells


@dataclass(frozen=True)
class StereoConfig:
    """How depth is found, and when it is believed."""

    neighbours: int = 4  # other images that a cell is compared with
    max_hypotheses: int = 64  # depths; as many as there are cells along the way of a point
    parallax: float = 0.15  # baseline over depth that is wanted of a neighbour
    min_similarity: float = 0.6  # cosine, the mean over the neighbours
    min_lead: float = 0.05  # over any other depth that is not beside it
    tolerance: float = 0.25  # of the depth: a prediction farther from it is not valid
    max_cells: int = 1_200_000  # whose depth is sought, evenly over the images

    def __post_init__(self) -> None:
        """Refuse values that cannot work."""
        for name in ("neighbours", "max_hypotheses", "parallax", "tolerance", "max_cells"):
            if not getattr(self, name) > 0:
                msg = f"stereo.{name} must be above zero, got {getattr(self, name)}"
                raise ConfigError(msg)


@dataclass(frozen=True)
class StereoSummary:
    """What the sweep found."""

    typical_depth: float | None  # metres, the median; None if too little was found
    share: float = 0.0  # of the cells that have a depth now which had none
    images: int = 0  # whose cells were looked at
    depth_scale: float = 1.0  # of measured depth, by which it agrees with the poses


def estimate_depth(
    cells: CellBuffer,
    config: StereoConfig,
    generator: torch.Generator,
    *,
    enough: Callable[[int], bool] = lambda _: False,
    progress: Progress = silent,
) -> StereoSummary:
    """Give cells without measured depth an estimated one, where it is clear.

    Nothing is assumed of the size of the scene: the range of depths follows from the recording.
    Measured depth is scaled to agree with the estimated one: sensors are off by a percent or two,
    and a map whose depth contradicts its poses is good for neither.

    Args:
        cells: The cells of all images; their depth is filled in.
        config: The settings.
        generator: On the CPU, chooses the cells where there are more than ``max_cells``.
        enough: Asked before each image, with the number of those done; once true, the others go
            without.
        progress: Is told how far it is.
    """
    views = StereoViews(cells)
    found = _depths_of_scene(views, config, generator)
    if found is None:
        return StereoSummary(None)
    low, high = torch.quantile(found, found.new_tensor(_RANGE_QUANTILES)).tolist()
    typical = float(found.median())
    depths = _depths_to_try(
        views, (low / _RANGE_MARGIN, high * _RANGE_MARGIN), config.parallax * typical, config
    )
    per_image = max(1, config.max_cells // len(views.taken))
    scale = _scale_of_measured(views, typical, depths, config, generator)
    cells.scale_depth(scale)
    order = torch.randperm(len(views.taken), generator=generator).tolist()

    def wanted() -> Iterator[_Sought]:
        for number, place in enumerate(order):
            if enough(number):
                return
            image = views.taken[place]
            unknown = torch.nonzero(~(cells.image(image).depth_N > 0))[:, 0].cpu()
            yield image, unknown[torch.randperm(len(unknown), generator=generator)[:per_image]]

    filled, done = 0, 0
    swept = _swept(views, wanted(), config.parallax * typical, depths, config)
    for (image, rows), depth, clear in swept:
        cells.set_depth(image, rows[clear.cpu()], depth[clear], config.tolerance)
        filled += int(clear.sum())
        done += 1
        if done % 10 == 0 or done == len(order):
            detail = f"image {done}/{len(order)}, scene at {typical:.1f} m"
            progress("estimating depth", done / len(order), detail)
    for image in views.varied:
        depth = views.depth_from_source(image)
        unknown = torch.nonzero((depth > 0) & ~(cells.image(image).depth_N > 0))[:, 0]
        cells.set_depth(image, unknown, depth[unknown], config.tolerance)
        filled += len(unknown)
    return StereoSummary(typical, filled / max(1, cells.size), done, scale)


def _depths_of_scene(
    views: StereoViews, config: StereoConfig, generator: torch.Generator
) -> torch.Tensor | None:
    """Depths of some cells, metres, by the length of baseline at which most are clear."""
    order = torch.randperm(len(views.taken), generator=generator)[:_LADDER_IMAGES]
    images = [views.taken[number] for number in order.tolist()]
    best: torch.Tensor | None = None
    if views.extent() < _LEAST_EXTENT:
        return None
    baseline = views.extent() / 2
    while baseline >= views.smallest_step():
        nearest, farthest = (baseline / parallax for parallax in reversed(_LADDER_PARALLAX))
        depths = _depths_to_try(views, (nearest, farthest), baseline, config)
        cells = [len(views.cells.image(image).depth_N) for image in images]
        rows = [torch.randperm(count, generator=generator)[:_MOST_LADDER_CELLS] for count in cells]
        sought = [(image, some.sort().values) for image, some in zip(images, rows, strict=True)]
        found = [
            depth[clear] for _, depth, clear in _swept(views, sought, baseline, depths, config)
        ]
        together = torch.cat(found)
        if best is None or len(together) > len(best):
            best = together
        baseline /= math.sqrt(2.0)
    return best if best is not None and len(best) >= _FEWEST_FOUND else None


def _scale_of_measured(
    views: StereoViews,
    typical: float,
    inverse_depth_S: torch.Tensor,
    config: StereoConfig,
    generator: torch.Generator,
) -> float:
    """What measured depth is to be multiplied by; 1 where too little of it could be compared."""
    order = torch.randperm(len(views.taken), generator=generator)[:_SCALE_IMAGES]

    def wanted() -> Iterator[_Sought]:
        for image in (views.taken[number] for number in order.tolist()):
            known = torch.nonzero(views.cells.image(image).depth_N > 0)[:, 0].cpu()
            sought = known[torch.randperm(len(known), generator=generator)[:_MOST_SCALE_CELLS]]
            if len(sought):
                yield image, sought

    ratios = []
    swept = _swept(views, wanted(), config.parallax * typical, inverse_depth_S, config)
    for (image, rows), depth, clear in swept:
        measured = views.cells.image(image).depth_N
        ratios.append(depth[clear] / measured[rows.to(measured.device)][clear])
    ratio = torch.cat(ratios) if ratios else torch.zeros(0)
    alike = ratio[(ratio - 1.0).abs() < config.tolerance]
    if len(alike) < _FEWEST_SCALE_CELLS:
        return 1.0
    return float(alike.median())


def _depths_to_try(
    views: StereoViews, limits: tuple[float, float], baseline: float, config: StereoConfig
) -> torch.Tensor:
    """Inverse depths [S] between two depths, a cell apart as seen from so far beside."""
    nearest, farthest = limits
    cells = views.focal_in_cells() * baseline * (1.0 / nearest - 1.0 / farthest)
    most = max(config.max_hypotheses, _FEWEST_HYPOTHESES)
    count = int(np.clip(cells + 1, _FEWEST_HYPOTHESES, most))
    return torch.linspace(1.0 / farthest, 1.0 / nearest, count)


def _swept(
    views: StereoViews,
    sought: Iterable[_Sought],
    baseline: float,
    inverse_depth_S: torch.Tensor,
    config: StereoConfig,
) -> Iterator[tuple[_Sought, torch.Tensor, torch.Tensor]]:
    """What was sought, its depth, and whether that is clear; by images from so far beside."""

    def sweep(one: _Sought) -> tuple[_Sought, torch.Tensor, torch.Tensor]:
        image, rows = one
        neighbours = views.neighbours(image, baseline, config.neighbours)
        return one, *_clear_depth(views, image, neighbours, rows, inverse_depth_S, config)

    return in_threads(sweep, sought, views.device)


def _clear_depth(
    views: StereoViews,
    image: int,
    neighbours: list[int],
    sought_N: torch.Tensor,
    inverse_depth_S: torch.Tensor,
    config: StereoConfig,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The depth [N] at which each cell agrees best, and whether [N] that is clear."""
    if len(neighbours) < 2 or len(sought_N) == 0:
        nothing = torch.zeros(len(sought_N), device=views.device)
        return nothing, nothing > 0
    similarity_NS = views.similarity(image, neighbours, sought_N, inverse_depth_S)
    best, at = similarity_NS.max(dim=1)
    steps = torch.arange(len(inverse_depth_S), device=views.device)
    beside = (steps - at[:, None]).abs() <= _BESIDE
    elsewhere = similarity_NS.masked_fill(beside, -1.0).amax(dim=1)
    inside = (at > 0) & (at < len(inverse_depth_S) - 1)
    clear = inside & (best > config.min_similarity) & (best - elsewhere > config.min_lead)
    return 1.0 / inverse_depth_S.to(views.device)[at], clear
