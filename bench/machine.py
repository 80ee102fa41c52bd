# SPDX-License-Identifier: Apache-2.0
"""How many threads for everything, and what it ran on."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path

import cv2
import torch

_DISTRIBUTIONS = {
    "torch": "torch",
    "opencv": "opencv-python-headless",
    "poselib": "poselib",
    "pycolmap": "pycolmap",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
}


def use_one_thread() -> None:
    """Call it before poselib and pycolmap are imported: they read the environment when loaded."""
    use_threads(1)


def use_threads(count: int) -> None:
    """The same for more."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    torch.set_num_threads(count)
    cv2.setNumThreads(count)


def describe() -> dict[str, object]:
    """For the record beside the figures."""
    versions = {name: _version(distribution) for name, distribution in _DISTRIBUTIONS.items()}
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **versions,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.split(":")[1].strip() for line in lines if "model name" in line), "unknown")
