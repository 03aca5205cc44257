# SPDX-License-Identifier: BSD-3-Clause
"""Helpers shared by the black-box suites: the service process, a raw HTTP client and a scriptable receiver.

Nothing here knows the source of the service: it is driven by its command line, its sockets and its log.
"""
