# SPDX-License-Identifier: Apache-2.0
"""What may be wrong with a recording, found from its images, poses and depth alone."""
