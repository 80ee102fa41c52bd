# SPDX-License-Identifier: Apache-2.0
"""For pip only: colcon goes by package.xml, and the metadata is in pyproject.toml."""

from setuptools import setup

setup()
