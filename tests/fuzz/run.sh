#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Searches for inputs that break a parser: run.sh [target [seconds]]; without a target all of them, one after the other.
#
# What is found new stays in build/fuzz/new/<target> and is used again; an input that breaks something is kept in
# build/fuzz/found. FUZZ_FLAGS are handed to libFuzzer.
set -eu
cd "$(dirname "$0")/../.."
targets=${1:-$(sed -n "s/^  '\([a-z_]*\)': .*_dep.*/\1/p" tests/fuzz/meson.build)}
seconds=${2:-60}

test -f build/fuzz/build.ninja || CC=${CLANG:-clang} meson setup build/fuzz -Db_sanitize=address,undefined \
	-Db_lundef=false "-Dc_args=-fsanitize=fuzzer-no-link -fno-sanitize-recover=all"
for target in $targets; do
	ninja -C build/fuzz "tests/fuzz/fuzz_$target"
done
mkdir -p build/fuzz/found
for target in $targets; do
	dict=tests/fuzz/dict/$target.dict
	flags=
	test "$target" = api_ops && flags=-entropic=0 # which would take a third of the time for its thousands of features
	mkdir -p "build/fuzz/new/$target"
	echo "== $target, $seconds s"
	ASAN_OPTIONS=quarantine_size_mb=8 "build/fuzz/tests/fuzz/fuzz_$target" -max_total_time="$seconds" \
		-timeout=10 -rss_limit_mb=512 -malloc_limit_mb=128 -print_final_stats=1 \
		-artifact_prefix="build/fuzz/found/$target-" $(test -f "$dict" && echo "-dict=$dict") \
		$flags ${FUZZ_FLAGS:-} "build/fuzz/new/$target" "tests/fuzz/corpus/$target"
done
