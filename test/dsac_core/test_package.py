# SPDX-License-Identifier: Apache-2.0
"""What importing dsac_core does, and does not do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = (
    "import os, sys, dsac_core\n"
    "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'], dsac_core.Camera.__name__)\n"
)


@pytest.mark.parametrize(("asked", "expected"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_wait_without_spinning_unless_asked_to(asked: str | None, expected: str) -> None:
    """OpenMP reads it when PyTorch is loaded, so it has to be there before that."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if asked is not None:
        environment["OMP_WAIT_POLICY"] = asked
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", expected, "Camera"]
