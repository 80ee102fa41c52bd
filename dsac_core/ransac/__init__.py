# SPDX-License-Identifier: Apache-2.0
"""Robust poses: sample, solve, score, select, refine; batched over hypotheses and images."""
