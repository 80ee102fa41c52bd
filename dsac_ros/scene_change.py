# SPDX-License-Identifier: Apache-2.0
"""Other scenes for a running node: loaded aside, taken into use when all of them are ready."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from dsac_core.errors import ConfigError, DsacError
from dsac_ros.scene_loading import check_frames

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dsac_ros.parameters import Settings
    from dsac_ros.scene_set import LoadedScene

    Loader = Callable[[Settings], Sequence[LoadedScene]]
    OnEnd = Callable[[tuple[bool, str]], None]

BUSY = "other scenes are being loaded: ask again when they are there"


class SceneChange:
    """Loads in a thread of its own, one change at a time.

    Args:
        load: Opens the scenes that settings name.
        map_frame: In which the node gives poses; it cannot change.
        use: Takes the scenes into use, in the loading thread; says so in words, or raises
            DsacError.
    """

    def __init__(
        self, load: Loader, map_frame: str, use: Callable[[Sequence[LoadedScene]], str]
    ) -> None:
        """Nothing is being loaded."""
        self._load = load
        self._map_frame = map_frame
        self._use = use
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._on_end: OnEnd | None = None

    def start(self, settings: Settings, on_end: OnEnd) -> None:
        """Begin to load the scenes that the settings name.

        Args:
            settings: Those of the node, with ``scene`` replaced.
            on_end: Told once whether the new scenes are in use, and what they are, or why not.
        """
        if self._thread is not None and self._thread.is_alive():
            on_end((False, BUSY))
            return
        self._on_end = on_end
        # A daemon: a load must not keep the process from ending.
        self._thread = threading.Thread(
            target=self._run, args=(settings,), name="scene change", daemon=True
        )
        self._thread.start()

    def end(self, *, in_use: bool, why: str) -> None:
        """Tell whoever waits; what is still being loaded has nobody to tell."""
        with self._lock:
            on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end((in_use, why))

    def _run(self, settings: Settings) -> None:
        try:
            scenes = self._load(settings)
            frame = check_frames(scenes, settings.map_frame_id)
            if frame != self._map_frame:
                msg = (
                    f"scene '{scenes[0].name}' is in frame '{frame}', this node gives poses in"
                    f" '{self._map_frame}': start it with map_frame_id, or map in that frame"
                )
                raise ConfigError(msg)
            self.end(in_use=True, why=self._use(scenes))
        except DsacError as error:
            self.end(in_use=False, why=f"nothing has changed: {error}")
        except Exception as error:  # in a thread, nobody else would say it
            why = f"nothing has changed: internal error: {type(error).__name__}: {error}"
            self.end(in_use=False, why=why)
