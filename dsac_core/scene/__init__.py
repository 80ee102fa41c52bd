# SPDX-License-Identifier: Apache-2.0
"""The scene map: all that a relocalizer knows of a place, as two files that hold no code."""
