# SPDX-License-Identifier: Apache-2.0
"""What a scene map has learned, as points and surfaces to look at."""
