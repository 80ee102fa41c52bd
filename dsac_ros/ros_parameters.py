# SPDX-License-Identifier: Apache-2.0
"""The table of parameters on a real node: declared with descriptors, validated, then applied."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter

from dsac_core.errors import ConfigError
from dsac_ros.parameters import Settings, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from rclpy.node import Node

    from dsac_ros.parameter_row import Row


_NONE = [""]  # an empty list, as a parameter says it


class NodeParameters:
    """Declares every parameter on a node and keeps the settings that are in force.

    Args:
        node: The node that owns the parameters.
        on_change: Called with the new settings after a change was accepted.

    Raises:
        ConfigError: A parameter file or the command line gave a value that cannot work.
    """

    def __init__(self, node: Node, on_change: Callable[[Settings], None]) -> None:
        """Declare, read, check, and from then on guard the parameters."""
        self._on_change = on_change
        values = {row.name: _declare(node, row) for row in table()}
        self.settings = Settings(**values)
        node.add_on_set_parameters_callback(self._validate)
        # Humble has no callback after the fact: there, a valid change is applied while validating.
        self._applies_late = hasattr(node, "add_post_set_parameters_callback")
        if self._applies_late:
            node.add_post_set_parameters_callback(self._apply)

    def _validate(self, parameters: list[Parameter]) -> SetParametersResult:
        try:
            self.settings.changed(_values(parameters))
        except ConfigError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if not self._applies_late:
            self._apply(parameters)
        return SetParametersResult(successful=True)

    def _apply(self, parameters: list[Parameter]) -> None:
        settings = self.settings.changed(_values(parameters))
        if settings != self.settings:
            self.settings = settings
            self._on_change(settings)


def _declare(node: Node, row: Row) -> Any:
    descriptor = ParameterDescriptor(
        description=row.description,
        read_only=row.fixed,
        additional_constraints=f"one of: {', '.join(row.choices)}" if row.choices else "",
    )
    if row.between is not None:
        low, high = row.between
        if isinstance(row.default, float):
            descriptor.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high))
            ]
        else:
            descriptor.integer_range = [
                IntegerRange(from_value=int(low), to_value=int(high), step=1)
            ]
    try:
        if isinstance(row.default, tuple):
            # Of an empty list rclpy cannot tell the type; and while one parameter has no value,
            # nobody who asks for all of them gets any.
            declared = node.declare_parameter(row.name, list(row.default) or _NONE, descriptor)
            return () if declared.value == _NONE else tuple(declared.value)
        return node.declare_parameter(row.name, row.default, descriptor).value
    except (InvalidParameterTypeException, InvalidParameterValueException) as error:
        kind = type(row.default).__name__
        limits = ""
        if row.between is not None:
            limits = f" between {row.between[0]:g} and {row.between[1]:g}"
        msg = f"parameter {row.name} must be a {kind}{limits}: {error}"
        raise ConfigError(msg) from error


def _values(parameters: list[Parameter]) -> dict[str, Any]:
    return {parameter.name: parameter.value for parameter in parameters}
