# SPDX-License-Identifier: Apache-2.0
"""How the node's process ends: at once, without a trace, and told of what failed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

# Prints the threads of DDS that are left when the node's function returns.
THREADS_AFTER_RUN = """
import sys
from pathlib import Path
from dsac_core.errors import ConfigError
from dsac_ros.node import run

def load(settings):
    raise ConfigError("no such scene")

code = run(sys.argv, load)
names = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
print(code, [name for name in names if name.startswith(("dds.ev", "dds.udp", "dds.shm.7"))])
"""


def test_a_signal_during_the_imports_ends_it_cleanly(start_node_without_map: Any) -> None:
    node = start_node_without_map("-p", "scene:=x", ready=False)
    deadline = time.monotonic() + 30.0
    while "numpy" not in Path(f"/proc/{node.process.pid}/maps").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert node.stop() == 0
    assert node.output == ""


def test_dds_has_ended_when_the_node_has() -> None:
    """Others do not see the node while Python is still busy with its own end."""
    done = subprocess.run(
        [sys.executable, "-c", THREADS_AFTER_RUN],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout == "2 []\n"
    assert "no such scene" in done.stderr


@pytest.mark.parametrize("topic", ["image_topic", "camera_info_topic"])
def test_a_name_that_no_topic_can_have_is_said(start_stub: Any, topic: str) -> None:
    node = start_stub("-p", "scene:=bright", "-p", f"{topic}:='two words'", ready=False)
    assert node.process.wait(30.0) == 2
    lines = node.output.strip().splitlines()
    assert len(lines) == 1, node.output
    assert "two words" in lines[0]
    assert "Invalid topic name" in lines[0]
