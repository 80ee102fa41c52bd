# SPDX-License-Identifier: Apache-2.0
"""Pose solvers, each batched in plain PyTorch: the same code on CPU and CUDA."""
