# SPDX-License-Identifier: Apache-2.0
"""What is free goes back to the system, and circles of references are found soon."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref

import pytest

from dsac_ros import process_memory

# In a process of its own, as it is for good. Prints how many MB stay of 16 that are freed.
LARGE_PIECES = """
import ctypes, sys
from pathlib import Path
from dsac_ros.process_memory import keep_one_small_pool

def own():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) / 1024

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]

def piece(megabytes):
    address = libc.malloc(megabytes << 20)
    ctypes.memset(address, 1, megabytes << 20)
    return address

if sys.argv[1] == "set up":
    keep_one_small_pool()
libc.free(piece(31))  # by default, the pools hold pieces of this size from now on
before = own()
large = piece(16)
small = [libc.malloc(4000) for _ in range(100)]  # live on, behind the large one
libc.free(large)
print(own() - before)
"""
CIRCLES = """
import gc, time, weakref
from dsac_ros import process_memory
process_memory._PERIOD = 0.01
class Node: pass
gc.disable()  # so that no one else finds it
process_memory.keep_giving_back()
assert gc.get_freeze_count() > 1000
node = Node()
node.itself = node
gone = weakref.ref(node)
del node
end = time.monotonic() + 20.0
while gone() is not None and time.monotonic() < end:
    time.sleep(0.01)
print("gone" if gone() is None else "still there")
"""


def _run(program: str, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    ).stdout.strip()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is of glibc")
def test_large_pieces_go_back_to_the_system() -> None:
    assert float(_run(LARGE_PIECES, "set up")) < 2.0
    assert float(_run(LARGE_PIECES, "default")) > 14.0  # else the settings are for nothing


def test_circles_of_references_are_found_soon() -> None:
    assert _run(CIRCLES) == "gone"


def test_free_memory_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class EnoughError(Exception):
        pass

    class Circle:
        def __init__(self) -> None:
            self.itself = self

    pads: list[int] = []
    circles: list[weakref.ref[Circle]] = []

    def sleep(seconds: float) -> None:
        assert seconds >= 1.0
        if len(pads) == 3:
            raise EnoughError
        circles.append(weakref.ref(Circle()))

    def trim(pad: int) -> int:
        assert circles[-1]() is None  # before, as it is free then
        pads.append(pad)
        return 1

    monkeypatch.setattr(process_memory.time, "sleep", sleep)
    gc.disable()
    try:
        with pytest.raises(EnoughError):
            process_memory._give_back(trim)
    finally:
        gc.enable()
    assert pads == [0, 0, 0]
