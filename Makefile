# SPDX-License-Identifier: BSD-3-Clause
# The front door; meson does the work. `make run` to try it, `make test` to test it, `make build` for build/seed-scheduler.
# `make fuzz TARGET=json TIME=90` searches for inputs that break a parser; without TARGET all in turn (docs/design/fuzzing.md).

SANITIZE ?= address,undefined
CLANG ?= clang
# Debian's own, for which Debian's packages are: another one earlier on the PATH would lack them.
PYTHON ?= /usr/bin/python3

.PHONY: build run test test-build deps deps-test crash bench proof sim fuzz format install clean

build: deps
	@test -f build/release/build.ninja || meson setup build/release --buildtype=release -Db_lto=true -Dtests=false
	ninja -C build/release
	@ln -sf release/seed-scheduler build/seed-scheduler

run: build
	@tools/try.sh

# Everything with sanitizers on; the last line is "N passed, N failed".
test: test-build
	@$(PYTHON) tools/run_tests.py build/test

test-build: deps-test
	@test -f build/test/build.ninja || meson setup build/test -Db_sanitize=$(SANITIZE) -Db_lundef=false -Dfailpoints=true
	@test -f build/clang/build.ninja || CC=$(CLANG) meson setup build/clang
	ninja -C build/clang
	ninja -C build/test

# kill -9, 50 times while schedules are made and 50 times under hundreds of deliveries a second; receivers and oracles of their own.
crash: test-build build
	SEED_BINARY=$(CURDIR)/build/release/seed-scheduler $(PYTHON) tests/e2e/crash_load.py --kills 50
	SEED_BINARY=$(CURDIR)/build/test/seed-scheduler $(PYTHON) tests/e2e/crash.py --kills 50

# Prints one table; with PEERS="celery graphile-worker pg-boss bullmq" those are installed and measured beside us (docs/benchmarks.md).
bench: build
	@tools/install-deps.sh bench $(if $(PEERS),peers)
	@$(PYTHON) bench/run.py --peers "$(PEERS)" $(BENCH_FLAGS)

# Everything that the promise is tried with, in at most six hours (docs/design/proof.md); PROOF_FLAGS="--scale 0.02" shows that it works.
proof: test-build build
	@$(PYTHON) tools/proof.py $(PROOF_FLAGS)

# `make sim SEED=7` tells one history of 24 virtual hours, `make sim SEEDS=20000` runs so many (docs/design/simulation.md).
sim: deps-test
	@test -f build/proof-plain/build.ninja || meson setup build/proof-plain --buildtype=release >/dev/null
	@ninja -C build/proof-plain tests/sim/sim >/dev/null
	@build/proof-plain/tests/sim/sim $(if $(SEEDS),--seed $(or $(SEED),1) --seeds $(SEEDS) --jobs $(or $(JOBS),$(shell nproc)),--seed $(or $(SEED),1))

# Needs clang; builds in build/fuzz.
fuzz: deps-test
	@CLANG="$(CLANG)" tests/fuzz/run.sh "$(TARGET)" "$(or $(TIME),60)"

deps:
	@tools/install-deps.sh build

deps-test:
	@tools/install-deps.sh build test

format:
	clang-format -i $$(git ls-files '*.c' '*.h')

install: build
	install -D -m 755 build/release/seed-scheduler $(DESTDIR)/usr/bin/seed-scheduler
	install -D -m 644 docs/man/seed-scheduler.8 $(DESTDIR)/usr/share/man/man8/seed-scheduler.8

clean:
	rm -rf build
