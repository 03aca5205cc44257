#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Reads the whole source with gcc's and clang's static analyzers; ends with one line "proof: {...}", not held when one
# complains, says anything else, or does not run to its end.
#
# clang's search for memory used after it was freed is off: it does not follow that what is freed has left its list, and
# says so for every loop that empties one. That error is looked for by running: every test runs with AddressSanitizer.
set -eu
clang=${CLANG:-clang}
for tool in gcc "$clang" dirname mktemp xargs; do
	command -v "$tool" >/dev/null || { echo "analyze.sh: $tool is not on the PATH; nothing was read" >&2; exit 2; }
done
cd "$(dirname "$0")/.."
test -f build/test/src/store/schema_0001.inc || { echo "analyze.sh: build/test is missing; run make test first" >&2; exit 2; }
log=$(mktemp)
trap 'rm -f "$log"' EXIT
flags='-std=gnu17 -D_GNU_SOURCE -DSEED_VERSION="" -Isrc -Ibuild/test/src -I/usr/share/include/llhttp'
files=$(ls src/*/*.c src/main.c)
ended=0
for analyzer in 'gcc -O1 -fanalyzer' "$clang --analyze -Xclang -analyzer-disable-checker=unix.Malloc"; do
	echo "$files" | xargs -P "$(nproc)" -I{} $analyzer $flags -c {} -o /dev/null >>"$log" 2>&1 || ended=$?
done
cat "$log" >&2
test "$ended" = 0 || echo "analyze.sh: an analyzer did not run to its end (xargs: $ended)" >&2
complaints=$(grep -c -E 'warning:|error:' "$log" || true)
held=$(test "$complaints" = 0 && test "$ended" = 0 && ! test -s "$log" && echo true || echo false)
printf 'proof: {"part": "analyzers", "tried": {"files": %d}, "found": {"complaints": %d, "xargs_exit": %d}, "held": %s}\n' \
	"$(echo "$files" | wc -l)" "$complaints" "$ended" "$held"
test "$held" = true
