# SPDX-License-Identifier: Apache-2.0
"""Opening a rosbag2 and walking through its messages, with the errors that a user can mend."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from rosbags.highlevel import AnyReader, AnyReaderError
from rosbags.typesys import Stores, get_typestore

from dsac_core.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


@contextmanager
def open_bag(path: Path) -> Iterator[AnyReader]:
    """An open reader of a rosbag2.

    Raises:
        DatasetError: It is not readable.
    """
    try:
        reader = AnyReader([path], default_typestore=get_typestore(Stores.ROS2_JAZZY))
        reader.open()
    except (AnyReaderError, OSError, ValueError, AssertionError) as error:
        detail = str(error).splitlines()[0] if str(error) else type(error).__name__
        msg = f"{path} is not a readable rosbag2: {detail}"
        raise DatasetError(msg) from error
    try:
        yield reader
    finally:
        reader.close()


def raw_messages(reader: AnyReader, *topics: str) -> Iterator[tuple[str, str, bytes]]:
    """Topic, type and serialized bytes of the messages of some topics, in the bag's order."""
    connections = [connection for connection in reader.connections if connection.topic in topics]
    if not connections:
        return  # to rosbags, no connections mean all of them
    for connection, _, raw in reader.messages(connections=connections):
        yield connection.topic, connection.msgtype, raw


def messages(reader: AnyReader, topic: str) -> Iterator[Any]:
    """The messages of one topic."""
    for _, kind, raw in raw_messages(reader, topic):
        yield reader.deserialize(raw, kind)


def sort_messages(
    reader: AnyReader, takers: Mapping[str, Callable[[Any], None]], stamped: str
) -> list[int]:
    """Hand each message to the taker of its topic, in one pass, as the bag may be large.

    Returns:
        Stamps in nanoseconds of the messages on the topic ``stamped``, each once, in the bag's
        order: these are images, and are not deserialized.
    """
    stamps: dict[int, None] = {}
    for topic, kind, raw in raw_messages(reader, stamped, *takers):
        if topic == stamped:
            stamps[header_stamp(raw)] = None
        else:
            takers[topic](reader.deserialize(raw, kind))
    return list(stamps)


def header_stamp(raw: bytes) -> int:
    """Stamp, in nanoseconds, of a serialized message that starts with a header.

    Four bytes of encapsulation come first, the second of which tells the byte order. So images
    that are not wanted need no deserializing.
    """
    order = "<i4" if raw[1] & 1 else ">i4"
    seconds, nanoseconds = np.frombuffer(raw[4:12], order).tolist()
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def header_stamps(reader: AnyReader, topic: str) -> list[int]:
    """Stamps of all messages of a topic, in nanoseconds, in the bag's order."""
    return [header_stamp(raw) for _, _, raw in raw_messages(reader, topic)]


def stamp_nanoseconds(stamp: Any) -> int:
    """A ``builtin_interfaces/Time`` as whole nanoseconds."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
