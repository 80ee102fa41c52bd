# SPDX-License-Identifier: Apache-2.0
"""The one family of errors that a user can cause.

Each message is one line that names what is wrong and what to do about it. The command line prints
it and exits with code 2; the node answers a service call or fails ``configure`` with it.
"""

from __future__ import annotations


class DsacError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(DsacError):
    """A setting has a value that cannot work."""


class CameraError(DsacError):
    """A camera is uncalibrated, or its calibration does not fit the image."""


class DatasetError(DsacError):
    """A recording cannot be read, or lacks what was asked of it."""


class SceneMapError(DsacError):
    """A scene map was not found, or is damaged, or is of a newer format."""
