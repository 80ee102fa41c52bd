# SPDX-License-Identifier: Apache-2.0
"""Landmarks: sparse scene points with descriptors, triangulated while mapping, matched at query."""
