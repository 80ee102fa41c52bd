# SPDX-License-Identifier: Apache-2.0
"""A run of an evaluation as JSON: what was run, its figures, and what became of each frame."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dsac_core.errors import DatasetError
from dsac_core.evaluation.honesty import reliability
from dsac_core.evaluation.metrics import FrameResult, Summary, summarize
from dsac_core.files import write_json

if TYPE_CHECKING:
    from pathlib import Path

FORMAT_VERSION = 1
_ERRORS = ("translation_error", "rotation_error")  # infinite without a pose; JSON has no infinity


@dataclass(frozen=True)
class Run:
    """One map on one recording."""

    about: dict[str, Any]  # scene, dataset, split and settings, in plain values
    frames: list[FrameResult]  # at least one, in the order of the recording

    @property
    def summary(self) -> Summary:
        """The figures over all frames."""
        return summarize(self.frames)


def write_run(file: Path, run: Run) -> None:
    """Write JSON: lengths in metres, angles in radians, times in seconds unless a name says other.

    A frame without a pose has null for its errors. Poses are x y z qx qy qz qw in the map.
    """
    said, right = [f.confidence for f in run.frames], [f.usable for f in run.frames]
    content = {
        "format_version": FORMAT_VERSION,
        "run": run.about,
        "summary": run.summary.as_dict(),
        "reliability": [row._asdict() for row in reliability(said, right)],
        "frames": [_as_record(frame) for frame in run.frames],
    }
    write_json(file, content)


def read_run(file: Path) -> Run:
    """Read what `write_run` wrote.

    Raises:
        DatasetError: The file is not there, or is no such file.
    """
    try:
        content = json.loads(file.read_text())
        version, frames = content["format_version"], content["frames"]
        run = Run(dict(content["run"]), [_from_record(record) for record in frames])
    except OSError as error:
        msg = f"{file}: {error.strerror}; name a file of 'dsac evaluate ... --json FILE'"
        raise DatasetError(msg) from error
    except (ValueError, KeyError, TypeError) as error:
        msg = f"{file} was not written by 'dsac evaluate ... --json FILE': evaluate again"
        raise DatasetError(msg) from error
    if version != FORMAT_VERSION or not run.frames:
        msg = f"{file} has format version {version}, this program reads {FORMAT_VERSION}"
        raise DatasetError(msg if run.frames else f"{file} has no frames: evaluate again")
    return run


def _as_record(frame: FrameResult) -> dict[str, Any]:
    record = asdict(frame)
    for name in _ERRORS:
        if not math.isfinite(record[name]):
            record[name] = None
    return record


def _from_record(record: dict[str, Any]) -> FrameResult:
    values = dict(record)
    for name in _ERRORS:
        values[name] = math.inf if values[name] is None else float(values[name])
    for name in ("truth", "pose"):
        values[name] = None if values.get(name) is None else tuple(map(float, values[name]))
    return FrameResult(**values)
