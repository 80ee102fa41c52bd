# SPDX-License-Identifier: Apache-2.0
"""What importing dsac_core does, and does not do."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = (
    "import os, sys, dsac_core\n"
    "print('torch' in sys.modules, os.environ['OMP_WAIT_POLICY'],"
    " os.environ.get('GOMP_SPINCOUNT'), dsac_core.Camera.__name__)\n"
)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["PASSIVE", "3000"]),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ["ACTIVE", "None"]),
        ({"GOMP_SPINCOUNT": "7"}, ["PASSIVE", "7"]),
    ],
)
def test_threads_hardly_spin_while_they_wait_unless_asked_to(
    asked: dict[str, str], expected: list[str]
) -> None:
    """OpenMP reads it when PyTorch is loaded, so it has to be there before that."""
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    environment = {name: value for name, value in os.environ.items() if name not in ours} | asked
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False", *expected, "Camera"]
