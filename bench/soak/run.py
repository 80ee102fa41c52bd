# SPDX-License-Identifier: Apache-2.0
"""A start with nothing in place, faults in random order until the time is over, a report."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.soak.calls import CALLS, load_the_scene_again
from bench.soak.depth_faults import DEPTH_FAULTS
from bench.soak.faults import SENSOR_FAULTS, another_place, larger_images, noise
from bench.soak.lifecycle import LIFECYCLE, cleaned_up
from bench.soak.soak import NodeEndedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.soak.soak import Soak

# Each kind of work has memory that the allocator and PyTorch keep for the next time: what is full
# after so many rounds does not count as growth.
HUNGRY = (load_the_scene_again, cleaned_up, noise, larger_images, another_place)
WARM_UP_ROUNDS = 3
START_LIMIT = 180.0  # s; a busy machine imports PyTorch for a minute


@dataclass(frozen=True)
class Report:
    violations: list[str]
    figures: dict[str, object]

    def __str__(self) -> str:
        lines = [f"{name}: {value}" for name, value in self.figures.items()]
        verdict = f"{len(self.violations)} violations" if self.violations else "no violation"
        return "\n".join([*lines, verdict, *self.violations])


def run(soak: Soak, minutes: float, *, memory: bool = True) -> Report:
    """Start with no calibration and no frames, then all faults, shuffled, again and again.

    Whether memory grows is found out on demand: that takes a minute to warm up.
    """
    began = time.monotonic()
    end = began + 60.0 * minutes
    warm = math.inf
    injected: list[tuple[str, int]] = []
    try:
        _start(soak)
        if memory:
            for fault in WARM_UP_ROUNDS * HUNGRY:
                _inject(soak, fault, injected)
            warm = time.monotonic()
        for fault in _shuffled(soak):
            if time.monotonic() >= end:
                break
            _inject(soak, fault, injected)
        soak.drive(soak.oracle.margin + 1.0)
    except NodeEndedError as error:
        soak.oracle.violations.append(str(error))
    return _report(soak, injected, warm, time.monotonic() - began)


def _inject(soak: Soak, fault: Callable[[Soak], None], injected: list[tuple[str, int]]) -> None:
    soak.oracle.fault = fault.__name__.replace("_", " ")
    fault(soak)
    soak.calm()
    injected.append((fault.__name__, soak.vitals.samples[-1].memory))


def _shuffled(soak: Soak) -> Iterator[Callable[[Soak], None]]:
    """All faults, again and again, each time in another order."""
    faults = [*SENSOR_FAULTS, *CALLS, *LIFECYCLE]
    faults += DEPTH_FAULTS if soak.robot.here.depths else ()
    while True:
        for index in soak.rng.permutation(len(faults)):
            yield faults[index]


def _start(soak: Soak) -> None:
    soak.world.calibration = lambda _: None
    if not soak.drive_until(lambda: soak.oracle.counts["statuses"] > 5, START_LIMIT):
        soak.oracle.violate(f"no status within {START_LIMIT:g} s of the start")
        return
    if "no camera_info" not in soak.last_status.reason:
        soak.oracle.violate(f"without calibration: {soak.last_status.reason}")
    soak.world.calibration = lambda info: info
    soak.drive(2.0)
    if "no transform from optical to base" not in soak.last_status.reason:
        soak.oracle.violate(f"without the camera's place: {soak.last_status.reason}")
    if soak.oracle.counts["poses"] or soak.oracle.counts["transforms"]:
        soak.oracle.violate("a pose or map -> odom before anything can be known")
    soak.robot.send_static()
    soak.must_localize()


def _report(soak: Soak, injected: list[tuple[str, int]], warm: float, seconds: float) -> Report:
    oracle = soak.oracle
    violations = [*oracle.violations, *soak.vitals.growth(warm)]
    names, counts = np.unique([name for name, _ in injected], return_counts=True)
    figures: dict[str, object] = {
        "minutes": round(seconds / 60.0, 1),
        "faults": len(injected),
        "latency_ms p50, p95, p99": _percentiles(1e3 * np.array(oracle.latencies)),
        "error_m p50, p95, p99, max": _percentiles(np.array([m for m, _ in oracle.errors]), True),
        "error_deg p50, p95, p99, max": _percentiles(np.array([d for _, d in oracle.errors]), True),
        "seconds until localized again p50, p95, p99, max": _percentiles(
            np.array(soak.recoveries), True
        ),
        **dict(oracle.counts),
        **soak.vitals.summary(warm),
        "seconds without the machine": round(soak.stalls, 1),
        "each fault": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        "memory_mb after": [f"{name} {round(memory / 1e6)}" for name, memory in injected],
    }
    return Report(violations, figures)


def _percentiles(values: np.ndarray, largest: bool = False) -> list[float]:
    if not len(values):
        return []
    at = [50, 95, 99, *([100] if largest else [])]
    return [round(float(value), 3) for value in np.percentile(values, at)]
