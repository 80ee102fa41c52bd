# SPDX-License-Identifier: Apache-2.0
"""Image messages as broken drivers send them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from sensor_msgs.msg import Image


def _step_too_small(message: Image) -> None:
    message.step = message.width


def _step_too_large(message: Image) -> None:
    message.step = 100 * message.step


def _too_high(message: Image) -> None:
    message.height = 2 * message.height


def _unknown_encoding(message: Image) -> None:
    message.encoding = "rgb9000"


def _no_encoding(message: Image) -> None:
    message.encoding = ""


def _wrong_encoding(message: Image) -> None:
    message.encoding = "32FC1"  # of four bytes; a row of colours has three per pixel


def _no_data(message: Image) -> None:
    message.data = b""


def _truncated(message: Image) -> None:
    message.data = bytes(message.data)[: len(message.data) // 2 + 1]


def _nothing(message: Image) -> None:
    message.width = message.height = message.step = 0
    message.data = b""


def _monstrous(message: Image) -> None:
    message.width = message.height = message.step = 2**32 - 1


GARBAGE: dict[str, Callable[[Image], None]] = {
    "step too small": _step_too_small,
    "step too large": _step_too_large,
    "too high": _too_high,
    "unknown encoding": _unknown_encoding,
    "no encoding": _no_encoding,
    "wrong encoding": _wrong_encoding,
    "no data": _no_data,
    "truncated": _truncated,
    "no pixels": _nothing,
    "monstrous": _monstrous,
}
