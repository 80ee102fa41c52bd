# SPDX-License-Identifier: Apache-2.0
"""Which recordings a map is trained on: those named, and those that it was made from before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dsac_core.data.joined_recordings import RecordingSource
from dsac_core.errors import ConfigError, DatasetError
from dsac_core.training.checkpoint import saved_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dsac_core.data.joined_recordings import Part
    from dsac_core.scene.scene_map import SceneMap


def parts_to_resume(file: Path, named: Sequence[Part]) -> list[Part]:
    """All recordings of unfinished training; what was not among them comes last, to be refused.

    Raises:
        DatasetError: One of them is gone.
        ConfigError: The checkpoint is damaged.
    """
    parts = {source.key: (source, dataset) for source, dataset in named}
    ordered: list[Part] = []
    for source in _sources(saved_settings(file).get("recordings")):
        part = parts.pop(source.key, None)
        ordered.append(part or (source, source.opened()))
    return [*ordered, *parts.values()]


def parts_to_continue(
    scene: SceneMap, folder: Path, named: Sequence[Part], warn: Callable[[str], None]
) -> tuple[list[Part], list[dict[str, Any]]]:
    """The recordings that a map was made from, then those named; and records of what is gone.

    Raises:
        ConfigError: The map cannot be continued.
    """
    if scene.method != "fast":
        msg = (
            f"{folder} was mapped with method {scene.method}, which cannot be continued as a fast"
            " map: start afresh with --replace"
        )
        raise ConfigError(msg)
    records = scene.training.get("recordings")
    sources = _sources(records)
    if not sources:
        msg = (
            f"{folder} does not say which recordings it was made from, so it cannot be continued:"
            " start afresh with --replace"
        )
        raise ConfigError(msg)
    parts = {source.key: (source, dataset) for source, dataset in named}
    ordered: list[Part] = []
    gone: list[dict[str, Any]] = []
    earlier = scene.training.get("recordings_gone", [])
    for source in [*sources, *_sources(earlier)]:
        part = parts.pop(source.key, None)
        if part is not None:
            ordered.append(part)
            continue
        try:
            ordered.append((source, source.opened()))
        except DatasetError as error:
            gone.append(source.record(0))
            warn(f"what only {source.path} showed may be forgotten: {error}")
    return [*ordered, *parts.values()], gone


def _sources(records: Any) -> list[RecordingSource]:
    """Of a record; none where it has none, or those of recordings that were not on a disk."""
    try:
        return [RecordingSource.from_record(record) for record in records]
    except (KeyError, TypeError):
        return []
