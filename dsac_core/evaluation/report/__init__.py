# SPDX-License-Identifier: Apache-2.0
"""A run of an evaluation as one HTML page that needs nothing beside it."""
