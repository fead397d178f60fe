# SPDX-License-Identifier: Apache-2.0
# An alias sheet: the build itself is CMakeLists.txt, the presets are in CMakePresets.json.
.PHONY: run build test bench lint format fuzz soak clean

# Builds, then serves the demo on http://127.0.0.1:8071
run: build
	exec build/release/posthorn serve --demo

# build/release/posthorn
build:
	tools/bootstrap build
	cmake --preset release --log-level=NOTICE
	cmake --build --preset release --target posthorn man

# Everything that has to hold: both compilers, sanitizers, SQLite and PostgreSQL, end to end.
# STAGES="dev e2e" runs a part; tests/run --list names them.
test:
	tools/bootstrap build test
	tests/run $(STAGES)

# Measures; prints JSON. SCENARIOS="slow backlog" measures these; bench/README.md names all
bench: build
	cmake --build --preset release
	bench/run $(if $(SCENARIOS),--scenario $(SCENARIOS))

# Format, clang-tidy, structure
lint:
	tools/bootstrap build lint test
	tools/lint

format:
	tools/bootstrap lint
	tools/lint --format

# Each fuzzer for FUZZ_SECONDS (60)
fuzz:
	tools/bootstrap build test
	tools/fuzz

# The crash test, CRASH_ROUNDS (300) times kill -9
soak: build
	tools/bootstrap test
	POSTHORN_CRASH_ROUNDS=$(or $(CRASH_ROUNDS),300) POSTHORN_BIN=$(CURDIR)/build/release/posthorn \
		tests/e2e/run -k crash

clean:
	rm -rf build/dev build/clang build/release build/asan build/tsan build/fuzz build/cov
