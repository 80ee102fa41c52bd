# SPDX-License-Identifier: Apache-2.0
"""Files and folders that are either whole or not there, however a program ends."""

from __future__ import annotations

import json
import os
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def replacing_file(target: Path) -> Iterator[Path]:
    """A path beside ``target`` to write to, which takes its place when the block ends well."""
    target = target.resolve()  # "." has no name, and a link should stay one
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    try:
        yield unfinished
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def replacing_directory(target: Path, *, make: bool = True) -> Iterator[Path]:
    """An empty folder of that name, which takes the place of ``target`` when the block ends well.

    A folder cannot be renamed over another one that is not empty, so an old one steps aside first;
    it is deleted only when the new one stands. ``make=False`` leaves it to the block to make the
    folder.
    """
    target = target.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    holder = target.with_name(f".{target.name}.{os.getpid()}.unfinished")
    unfinished = holder / target.name
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    shutil.rmtree(holder, ignore_errors=True)
    holder.mkdir()
    if make:
        unfinished.mkdir()
    try:
        yield unfinished
        shutil.rmtree(old, ignore_errors=True)
        if target.exists():
            target.rename(old)
        try:
            unfinished.rename(target)
        except OSError:
            if old.exists():
                old.rename(target)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def write_json(target: Path, content: Any) -> None:
    """Write JSON that a person can read, whole or not at all; NaN and infinities are refused."""
    with replacing_file(target) as unfinished:
        unfinished.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
