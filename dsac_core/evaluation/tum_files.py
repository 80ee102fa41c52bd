# SPDX-License-Identifier: Apache-2.0
"""Trajectories as the TUM RGB-D benchmark writes them, for evo and others."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsac_core.files import replacing_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from dsac_core.evaluation.metrics import FrameResult, Pose7


def write_trajectories(file: Path, frames: Iterable[FrameResult]) -> Path:
    """Write the poses that were localized, and beside them those of all frames as they truly are.

    Lines are ``t x y z qx qy qz qw``: seconds, and metres in the map.

    Returns:
        The file of the true poses: ``NAME.truth.tum`` beside ``NAME.tum``.
    """
    frames = list(frames)
    truth = file.with_name(f"{file.stem}.truth{file.suffix or '.tum'}")
    _write(file, ((f.stamp, f.pose) for f in frames if f.localized))
    _write(truth, ((f.stamp, f.truth) for f in frames))
    return truth


def _write(file: Path, poses: Iterable[tuple[float, Pose7 | None]]) -> None:
    with replacing_file(file) as unfinished:
        unfinished.write_text(
            "".join(
                f"{stamp:.6f} {' '.join(f'{value:.6f}' for value in pose)}\n"
                for stamp, pose in poses
                if pose is not None
            )
        )
