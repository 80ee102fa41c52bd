# SPDX-License-Identifier: Apache-2.0
"""Why a transform is not available."""


class TransformException(Exception):  # noqa: N818 - the real name
    """Any of the reasons below."""


class LookupException(TransformException):
    """A frame has never been heard of."""


class ConnectivityException(TransformException):
    """Both frames exist, but in trees that are not connected."""


class ExtrapolationException(TransformException):
    """The time lies before the oldest or after the newest transform."""


class InvalidArgumentException(TransformException):
    """A frame name is empty or starts with a slash."""
