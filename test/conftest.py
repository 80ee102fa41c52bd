# SPDX-License-Identifier: Apache-2.0
"""For all tests: a ROS domain of their own, and no ROS tests where there is no ROS."""

from __future__ import annotations

import importlib.util
import os
import socket
from pathlib import Path

import pytest

ROS_TESTS = Path(__file__).parent / "ros"


def _free_domain() -> int:
    """A ROS domain in 1..100 that nobody on this machine uses, different for each process."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    start = os.getpid() + 7 * int(worker)
    for offset in range(100):
        domain = 1 + (start + offset) % 100
        # The discovery port of a domain's first participant (DDSI-RTPS 9.6.1.1).
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("", 7410 + 250 * domain))
            except OSError:
                continue
        return domain
    return 1 + start % 100


# Before anything imports rclpy; child processes inherit it.
os.environ["ROS_DOMAIN_ID"] = str(_free_domain())


def _missing_ros() -> str | None:
    """Why the tests in test/ros cannot run here, None when they can."""
    missing = [name for name in ("rclpy", "tf2_ros") if importlib.util.find_spec(name) is None]
    try:
        importlib.import_module("dsac_ros.msg")
    except ImportError:
        missing.append("dsac_ros.msg")
    if not missing:
        return None
    return f"needs ROS 2 and a built workspace (no {', '.join(missing)}); `make test` has both"


class _WithoutRos(pytest.Module):
    """Stands for a test file that cannot even be imported."""

    def collect(self) -> list[pytest.Item]:
        pytest.skip(_missing_ros() or "", allow_module_level=True)


def pytest_pycollect_makemodule(
    module_path: Path, parent: pytest.Collector
) -> pytest.Module | None:
    """Skips a file of test/ros, with the reason; `make test` wants them to run and fail instead."""
    if ROS_TESTS not in module_path.parents or os.environ.get("DSAC_TEST_ROS") == "required":
        return None
    if _missing_ros() is None:
        return None
    return _WithoutRos.from_parent(parent, path=module_path)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks everything in test/ros, so that -m "not ros" leaves it out."""
    for item in items:
        if ROS_TESTS in item.path.parents:
            item.add_marker("ros")
