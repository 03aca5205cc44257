# SPDX-License-Identifier: BSD-3-Clause
# Turns a migration into C string literals, one a line, for #include between two quotes' worth of array initialiser.
s/\\/\\\\/g
s/"/\\"/g
s/^/"/
s/$/\\n"/
