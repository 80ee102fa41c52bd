# SPDX-License-Identifier: Apache-2.0
"""End-to-end training of a fast map's head: through differentiable RANSAC, on the pose itself."""

from __future__ import annotations

import copy
import math
import time
from typing import TYPE_CHECKING

import torch

from dsac_core.errors import ConfigError
from dsac_core.progress import silent
from dsac_core.training.coordinate_loss import CoordinateLossConfig
from dsac_core.training.finetune_record import FinetuneRecord, HeldOutErrors
from dsac_core.training.finetune_steps import FinetuneSteps
from dsac_core.training.workers import ALONE

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

    from dsac_core.networks.coordinate_head import CoordinateHead
    from dsac_core.progress import Progress
    from dsac_core.training.cell_buffer import CellBuffer
    from dsac_core.training.finetune_steps import FinetuneConfig
    from dsac_core.training.workers import Workers

_STEPS_BETWEEN_REPORTS = 10


def never() -> bool:
    """Nobody interrupts."""
    return False


def finetune_head(
    head: CoordinateHead,
    cells: CellBuffer,
    config: FinetuneConfig,
    *,
    seconds: float = math.inf,
    iterations: int | None = None,
    loss: CoordinateLossConfig | None = None,
    precision: torch.dtype = torch.float32,
    check: Callable[[CoordinateHead], NDArray[np.float64]] | None = None,
    progress: Progress = silent,
    interrupted: Callable[[], bool] = never,
    workers: Workers = ALONE,
) -> FinetuneRecord:
    """Train a head on the expected pose loss (Eq. 37 of DSAC*), and keep what is better.

    A step takes some images, some cells of each, lets the head say where these are, draws pose
    hypotheses from that, and descends on the loss of the pose that RANSAC would choose. The
    coordinate loss of the same cells stays beside it.

    Args:
        head: On the device of the cells; changed in place, and left in evaluation mode.
        cells: Of the training images.
        config: The settings.
        seconds: How long to train; the checks before and after come on top.
        iterations: For exactly so many steps instead: on one thread the result is the same each
            time, to the last bit.
        loss: The coordinate loss of the training before; its clamp is that of the end.
        precision: In which the head computes; poses are estimated in float32.
        check: Tells metres and radians [N x 2] by which poses of held-out views are off, infinite
            without a pose. If their mean error does not fall, the weights before come back. With
            several workers, the first one's counts.
        progress: Is told how far it is.
        interrupted: Says whether to stop early; what was learned until then is checked as well.
        workers: Processes that train together.

    Raises:
        ConfigError: Neither seconds nor iterations are bounded.
    """
    if iterations is None and not 0 < seconds < math.inf:
        msg = f"fine-tuning needs a number of seconds or of iterations, got {seconds} seconds"
        raise ConfigError(msg)
    first = workers.rank == 0
    check = check if first else None
    before = _tried(head, check)
    kept_weights = copy.deepcopy(head.state_dict())
    steps = FinetuneSteps(head, cells, config, loss or CoordinateLossConfig(), precision, workers)
    begun = time.perf_counter()
    while True:
        spent = time.perf_counter() - begun
        own = spent / seconds if iterations is None else steps.iteration / iterations
        stopped = interrupted() or not steps.possible
        done, stop = workers.largest(own if first else 0.0, float(stopped))
        if done >= 1.0 or stop:
            break
        steps.step(done)
        if first and steps.iteration % _STEPS_BETWEEN_REPORTS == 0:
            progress("end-to-end", min(done, 0.999), steps.figures())
    spent = time.perf_counter() - begun
    head.eval().requires_grad_(requires_grad=False)
    after = _tried(head, check)
    worse = before is not None and after is not None and not after.mean < before.mean
    worse = worse or not all(weights.isfinite().all() for weights in head.state_dict().values())
    (undone,) = workers.largest(float(worse))
    if undone:
        head.load_state_dict(kept_weights)
    record = FinetuneRecord(
        steps.iteration, spent, steps.skipped, steps.loss, before, after, kept=not undone
    )
    progress("end-to-end", 1.0, str(record))
    return record


def _tried(
    head: CoordinateHead, check: Callable[[CoordinateHead], NDArray[np.float64]] | None
) -> HeldOutErrors | None:
    """None where there is nothing to try it on."""
    errors = None if check is None else check(head)
    return None if errors is None or len(errors) == 0 else HeldOutErrors(errors)
