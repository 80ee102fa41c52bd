# SPDX-License-Identifier: Apache-2.0
"""The size of an image file without decoding it: a layout may have thousands of large ones."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dsac_core.data.posed_files import image_size

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

_PNG = b"\x89PNG\r\n\x1a\n"
_JPEG = b"\xff\xd8"
# Start of frame, of all kinds: C0 to CF but for tables (C4), reserved (C8) and arithmetic (CC).
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def size_in_header(file: Path) -> tuple[int, int]:
    """Width and height of the image as it is stored, whatever orientation its EXIF asks for.

    From IHDR of a PNG (ISO/IEC 15948, 11.2.2) or the start of frame of a JPEG (ITU-T T.81, B.2.2);
    any other image is decoded.

    Raises:
        DatasetError: It is missing, or not a readable image.
    """
    size = None
    if file.is_file():
        with file.open("rb") as data:
            start = data.read(24)
            if start.startswith(_PNG) and start[12:16] == b"IHDR":
                size = struct.unpack(">II", start[16:24])
            elif start.startswith(_JPEG):
                size = _jpeg_size(data)
    return image_size(file) if size is None else (int(size[0]), int(size[1]))


def _jpeg_size(data: BinaryIO) -> tuple[int, int] | None:
    data.seek(len(_JPEG))
    while True:
        head = data.read(4)
        if len(head) < 4 or head[0] != 0xFF:
            return None
        if head[1] == 0xFF:  # markers may be padded
            data.seek(-3, 1)
            continue
        (length,) = struct.unpack(">H", head[2:])
        if head[1] in _FRAMES:
            frame = data.read(5)
            if len(frame) < 5:
                return None
            _, height, width = struct.unpack(">BHH", frame)
            return width, height
        data.seek(length - 2, 1)
