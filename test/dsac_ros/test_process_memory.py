# SPDX-License-Identifier: Apache-2.0
"""What is free goes back to the system, and circles of references are found soon."""

from __future__ import annotations

import gc
import platform
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from dsac_ros import process_memory

# In a process of its own, as it is for good. Prints how many pools there are after four threads had
# memory, and how many MB of 16 stay that are freed behind small pieces in use: at once, and after
# what is free was given back.
POOLS = """
import ctypes, sys, threading
from pathlib import Path
from dsac_ros.process_memory import _malloc_trim, keep_one_pool

def own():
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["RssAnon"].split()[0]) / 1024

libc = ctypes.CDLL(None)
libc.malloc.restype, libc.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
libc.free.argtypes = [ctypes.c_void_p]
libc.fopen.restype = ctypes.c_void_p
libc.malloc_info.argtypes, libc.fclose.argtypes = [ctypes.c_int, ctypes.c_void_p], [ctypes.c_void_p]

if sys.argv[1] == "one":
    keep_one_pool()
meeting = threading.Barrier(4)

def work():
    libc.malloc(1000)
    meeting.wait()

threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
file = libc.fopen(sys.argv[2].encode(), b"w")
libc.malloc_info(0, file)
libc.fclose(file)
before = own()
pieces = [libc.malloc(1 << 24)]
ctypes.memset(pieces[0], 1, 1 << 24)
small = [libc.malloc(4000) for _ in range(100)]
libc.free(pieces[0])
kept = own() - before
_malloc_trim()(0)
print(Path(sys.argv[2]).read_text().count("<heap nr="), kept, own() - before)
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
def test_one_pool_keeps_what_is_free_until_it_is_given_back(tmp_path: Path) -> None:
    pools, kept, left = map(float, _run(POOLS, "one", str(tmp_path / "one")).split())
    assert pools == 1
    assert kept > 14.0
    assert left < 2.0
    pools, kept, _ = map(float, _run(POOLS, "default", str(tmp_path / "default")).split())
    assert pools > 1  # else the settings are for nothing
    assert kept < 2.0


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
