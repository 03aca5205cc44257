# SPDX-License-Identifier: BSD-3-Clause
"""Proofs against a world that misbehaves, each a command of its own with a summary in JSON as its last line."""
