# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import pytest

from dsac_core.geometry.camera import Camera
from dsac_core.synthetic import CAMERA, Room, Walk, office, walk_poses


@pytest.fixture(scope="session")
def room() -> Room:
    return office(0)


@pytest.fixture(scope="session")
def small() -> Camera:
    return CAMERA.scaled(160, 120)


@pytest.fixture(scope="session")
def mapping(room: Room) -> Walk:
    return walk_poses("mapping", room.options)
