# SPDX-License-Identifier: Apache-2.0
"""A map in the browser: its points, the cameras that it was made from, and others with errors."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from dsac_core.data.frame import spread_indices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from dsac_core.cloud.point_cloud import PointCloud
    from dsac_core.cloud.shots import Shot
    from dsac_core.geometry.camera import Camera

    FloatArray = NDArray[np.float64]

_FRUSTUM = 0.014  # of the scene's diagonal
_MAPPED_COLOUR = (70, 110, 200)
_ESTIMATE_COLOUR = (20, 20, 20)
_MOST_MAPPED = 50  # cameras: more hide the points
_NEARLY = math.cos(math.radians(20.0))  # to an axis of the map: then that is up


class Viewer:
    """What is shown on a viser server."""

    def __init__(self, server: Any, title: str, cloud: PointCloud) -> None:
        """Show the cloud of a map; there is at least one point.

        Args:
            server: A ``viser.ViserServer``.
            title: Of the scene.
            cloud: In the map's frame.
        """
        self._server, self._cloud = server, cloud
        low, high = cloud.bounds()
        self._diagonal = float(np.linalg.norm(high - low))
        centre = np.median(cloud.points_N3, axis=0)
        self._centre = centre
        server.gui.add_markdown(f"**{title}**: {len(cloud):,} points")
        size = 0.0015 * self._diagonal
        points = server.scene.add_point_cloud(
            "/points",
            (cloud.points_N3 - centre).astype(np.float32),  # viser sends half precision
            cloud.colours_N3,
            point_size=size,
            position=tuple(centre),
        )
        slider = server.gui.add_slider(
            "size of points (mm)", 1.0, 50.0, 0.5, min(50.0, max(1.0, round(2e3 * size) / 2))
        )
        slider.on_update(lambda _: setattr(points, "point_size", slider.value / 1e3))
        self._switch("points", [points])

    def show_mapped(self, map_T_cam_M44: Sequence[FloatArray], camera: Camera) -> None:
        """The cameras that the cloud was seen from; they say where up is, and where to look from.

        There is at least one.
        """
        poses = np.stack(map_T_cam_M44)
        up = up_of(poses)
        self._server.scene.set_up_direction(tuple(up))
        # Stand behind the cameras, above, so that the side that was seen is to be seen.
        back = poses[:, :3, 3].mean(axis=0) - self._centre
        back -= (back @ up) * up
        length = float(np.linalg.norm(back))
        aside = np.cross(up, poses[0, :3, 0])
        back = back / length if length > 0.1 * self._diagonal else aside / np.linalg.norm(aside)
        first = self._server.initial_camera
        first.up = tuple(up)
        first.look_at = tuple(self._centre)
        first.position = tuple(self._centre + self._diagonal * (0.5 * back + 0.3 * up))
        shown = spread_indices(len(poses), _MOST_MAPPED)
        frusta = [
            self._frustum(f"/mapped/{number}", pose, camera, _MAPPED_COLOUR)
            for number, pose in enumerate(poses)
            if number in shown
        ]
        self._switch("cameras of the map", frusta)

    def show_shots(self, shots: Sequence[Shot]) -> None:
        """Images with their true cameras, coloured by error, and the estimates beside."""
        if not shots:
            return
        localized = [shot.errors[0] for shot in shots if shot.localized]
        median = f", in the median {100 * np.median(localized):.1f} cm off" if localized else ""
        details = self._server.gui.add_markdown(
            f"{len(shots)} images, **{len(localized)} localized**{median}. Cameras are **green** at"
            " 0 cm, **yellow** at 10 cm, **red** from 25 cm on, gray where the map says *not"
            " localized*. Estimates are black. Click on a camera to look through it."
        )
        frusta, estimates, ends = [], [], []
        for number, shot in enumerate(shots):
            frustum = self._frustum(
                f"/shots/{number}", shot.truth, shot.camera, shot.colour, image=shot.image
            )
            frustum.on_click(lambda _, shot=shot: self._tell(details, shot))
            frusta.append(frustum)
            if shot.estimate is not None and shot.localized:
                pose = shot.estimate
                colour = _ESTIMATE_COLOUR
                estimates.append(
                    self._frustum(f"/estimates/{number}", pose, shot.camera, colour, size=0.6)
                )
                ends.append([shot.truth[:3, 3], pose[:3, 3]])
        if ends:
            lines = self._server.scene.add_line_segments(
                "/errors",
                np.array(ends, dtype=np.float32),
                (220, 30, 30),
                thickness=2.0,
                thickness_units="screen",
            )
            estimates.append(lines)
        self._switch("true cameras", frusta)
        self._switch("estimates", estimates)

    def _tell(self, details: Any, shot: Shot) -> None:
        """Words about a shot, and the view from its camera."""
        details.content = f"**{shot.name}**: {shot.in_words()}"
        for client in self._server.get_clients().values():
            client.camera.wxyz = _wxyz(shot.truth)
            client.camera.position = tuple(shot.truth[:3, 3])

    def _frustum(
        self,
        name: str,
        pose: FloatArray,
        camera: Camera,
        colour: tuple[int, int, int],
        *,
        image: NDArray[np.uint8] | None = None,
        size: float = 1.0,
    ) -> Any:
        return self._server.scene.add_camera_frustum(
            name,
            fov=2.0 * math.atan2(camera.height / 2, camera.fy),
            aspect=(camera.width / camera.fx) / (camera.height / camera.fy),
            scale=size * _FRUSTUM * self._diagonal,
            color=colour,
            thickness=1.5,
            thickness_units="screen",
            image=image,
            wxyz=_wxyz(pose),
            position=tuple(pose[:3, 3]),
        )

    def _switch(self, label: str, handles: Sequence[Any]) -> None:
        """A checkbox that shows and hides them."""
        if not handles:
            return
        box = self._server.gui.add_checkbox(label, initial_value=True)

        def apply(_: Any) -> None:
            for handle in handles:
                handle.visible = box.value

        box.on_update(apply)


def up_of(map_T_cam_M44: FloatArray) -> FloatArray:
    """Where up is, a unit vector, if cameras are held upright: an axis where it is near one."""
    mean = -map_T_cam_M44[:, :3, 1].mean(axis=0)
    length = float(np.linalg.norm(mean))
    up = mean / length if length > 1e-3 else np.array([0.0, 0.0, 1.0])
    axis = np.zeros(3)
    axis[np.abs(up).argmax()] = np.sign(up[np.abs(up).argmax()])
    return axis if float(axis @ up) > _NEARLY else np.asarray(up)


def _wxyz(pose: FloatArray) -> tuple[float, ...]:
    x, y, z, w = Rotation.from_matrix(pose[:3, :3]).as_quat()
    return float(w), float(x), float(y), float(z)
