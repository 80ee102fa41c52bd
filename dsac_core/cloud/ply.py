# SPDX-License-Identifier: Apache-2.0
"""Points and meshes as files that every viewer reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsac_core.files import replacing_file

if TYPE_CHECKING:
    from pathlib import Path


def write_ply(geometry: Any, file: Path) -> None:
    """Write a ``trimesh.PointCloud`` or ``Trimesh`` as binary PLY, whole or not at all."""
    content: bytes = geometry.export(file_type="ply")
    with replacing_file(file) as unfinished:
        unfinished.write_bytes(content)
