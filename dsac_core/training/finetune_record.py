# SPDX-License-Identifier: Apache-2.0
"""What end-to-end training did to a fast map: recall on held-out views before and after."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

THRESHOLDS = (5, 2, 1)  # centimetres and degrees
_LARGEST = 20.0  # cm + deg: a lost view is no worse than that


@dataclass(frozen=True)
class HeldOutErrors:
    """How far the poses of held-out views are off."""

    errors_N2: NDArray[np.float64]  # metres, radians; infinite without a pose

    @property
    def mean(self) -> float:
        """Of the pose loss of each view, centimetres and degrees, clipped: a few views decide."""
        loss = 100.0 * self.errors_N2[:, 0] + np.degrees(self.errors_N2[:, 1])
        return float(np.minimum(loss, _LARGEST).mean())

    @property
    def recall(self) -> dict[int, float]:
        """Percent within so many centimetres and degrees."""
        centimetres, degrees = 100.0 * self.errors_N2[:, 0], np.degrees(self.errors_N2[:, 1])
        return {
            limit: 100.0 * float(((centimetres <= limit) & (degrees <= limit)).mean())
            for limit in THRESHOLDS
        }


@dataclass(frozen=True)
class FinetuneRecord:
    """One end-to-end training."""

    iterations: int
    seconds: float
    skipped: int  # steps without a finite gradient
    loss: float  # expected pose loss on training images, cm + deg, smoothed; NaN without a step
    before: HeldOutErrors | None  # None: there was nothing to check with
    after: HeldOutErrors | None
    kept: bool  # whether the weights are those after

    def as_dict(self) -> dict[str, Any]:
        """For the training record of a scene map."""
        record: dict[str, Any] = {
            "finetune_iterations": self.iterations,
            "finetune_seconds": round(self.seconds, 1),
            "finetune_kept": self.kept,
        }
        if math.isfinite(self.loss):
            record["finetune_loss"] = round(self.loss, 3)
        for name, errors in (("before", self.before), ("after", self.after)):
            if errors is not None:
                record[f"finetune_recall_{name}"] = {
                    f"{limit}cm_{limit}deg": round(percent, 1)
                    for limit, percent in errors.recall.items()
                }
                record[f"finetune_error_{name}"] = round(errors.mean, 3)
        return record

    def __str__(self) -> str:
        """One line for people."""
        if self.before is None or self.after is None:
            verdict = "unchecked" if self.kept else "undone, as it diverged"
            return f"{self.iterations} iterations, {verdict}"
        parts: list[str] = []
        old, new = self.before.recall, self.after.recall
        for limit in THRESHOLDS:
            name = f"within {limit} cm/{limit} deg" if not parts else f"{limit}/{limit}"
            parts.append(f"{name} {old[limit]:.0f} -> {new[limit]:.0f} %")
        line = (
            f"{', '.join(parts)} of {len(self.before.errors_N2)} held-out views, mean"
            f" error {self.before.mean:.2f} -> {self.after.mean:.2f} cm+deg"
        )
        return line if self.kept else f"{line}; that is no better, so the map stays as it was"
