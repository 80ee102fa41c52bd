# SPDX-License-Identifier: Apache-2.0
"""Recordings in: posed images with full intrinsics, from folders and bags."""
