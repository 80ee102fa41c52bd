# SPDX-License-Identifier: Apache-2.0
"""Memory, CPU, threads and open files of a process over time, read from /proc."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MEMORY_GROWTH = 0.05  # of its own memory: libraries are paged in and out as the machine likes
MORE_THREADS, MORE_FILES = 2, 4  # a service call may be under way
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    time: float  # s
    memory: int  # bytes of its own, in memory or swapped out
    resident: int  # bytes in memory, with libraries and shared memory
    cpu: float  # s of all threads since the start
    threads: int
    files: int


def sample(pid: int, time: float) -> Sample:
    folder = Path(f"/proc/{pid}")
    # The name, which may hold anything, stands in brackets before the fields.
    fields = (folder / "stat").read_text().rsplit(")", 1)[1].split()
    status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
    own, swapped, resident = (
        1024 * int(status[name].split()[0]) for name in ("RssAnon", "VmSwap", "VmRSS")
    )
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    files = len(list((folder / "fd").iterdir()))
    return Sample(time, own + swapped, resident, cpu, int(fields[17]), files)


@dataclass
class Vitals:
    """Samples, and what has grown between a first and a last stretch of them."""

    samples: list[Sample] = field(default_factory=list)

    def growth(self, warm: float) -> list[str]:
        """What has grown too much since the time ``warm``, in words."""
        if not any(s.time >= warm for s in self.samples):
            return []
        first, last = self._stretches(warm)
        found = []
        before, after = (np.median([s.memory for s in each]) for each in (first, last))
        if after > before * (1.0 + MEMORY_GROWTH):
            found.append(f"memory grew from {before / 1e6:.0f} to {after / 1e6:.0f} MB")
        for what, more in (("threads", MORE_THREADS), ("files", MORE_FILES)):
            before, after = (np.median([getattr(s, what) for s in each]) for each in (first, last))
            if after > before + more:
                found.append(f"{what} grew from {before:.0f} to {after:.0f}")
        return found

    def summary(self, warm: float) -> dict[str, float]:
        if len(self.samples) < 2:
            return {}
        first, last = self._stretches(warm)
        begin, end = self.samples[0], self.samples[-1]
        return {
            "memory_begin_mb": round(float(np.median([s.memory for s in first])) / 1e6, 1),
            "memory_end_mb": round(float(np.median([s.memory for s in last])) / 1e6, 1),
            "memory_peak_mb": round(max(s.memory for s in self.samples) / 1e6, 1),
            "resident_peak_mb": round(max(s.resident for s in self.samples) / 1e6, 1),
            "cpu_percent": round(100 * (end.cpu - begin.cpu) / (end.time - begin.time), 1),
            "threads_begin": float(np.median([s.threads for s in first])),
            "threads_end": float(np.median([s.threads for s in last])),
            "files_begin": float(np.median([s.files for s in first])),
            "files_end": float(np.median([s.files for s in last])),
        }

    def _stretches(self, warm: float) -> tuple[list[Sample], list[Sample]]:
        """A tenth from ``warm`` on, and the last tenth."""
        start, end = warm, self.samples[-1].time
        tenth = max(0.0, end - start) / 10
        first = [s for s in self.samples if start <= s.time <= start + tenth]
        last = [s for s in self.samples if s.time >= end - tenth]
        return first or self.samples[-1:], last
