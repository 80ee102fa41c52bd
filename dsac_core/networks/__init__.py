# SPDX-License-Identifier: Apache-2.0
"""Networks: an image in, per output cell a feature or a scene coordinate out."""
