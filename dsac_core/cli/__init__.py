# SPDX-License-Identifier: Apache-2.0
"""The command line ``dsac``. Modules load what is heavy only when a command runs."""
