# Each target installs what it needs first (scripts/setup says what and why), so a clean clone is one command away.
#
#   STETH_TEST_ALLOW_SKIP=1   tests that need root are skipped instead of failing (docs/testing.md)
#   FUZZ_SECONDS=300          how long `make fuzz` attacks each parser

CARGO ?= cargo
SUDO := $(shell [ "$$(id -u)" = 0 ] || echo sudo -E)
FUZZ_SECONDS ?= 300
# The short run is the same on every machine, unless it is so slow that the time is over first.
FUZZ_EXECUTIONS ?= 1000000
FUZZ_SHORT = --executions $(FUZZ_EXECUTIONS) --seconds 30 --seed 1
FUZZ_TARGETS := $(basename $(notdir $(wildcard fuzz/fuzz_targets/*.rs)))
SCRIPTS := scripts/setup scripts/oracle-mysql scripts/arm64/cargo scripts/arm64/fetch scripts/arm64/kernels scripts/arm64/rustc scripts/arm64/test scripts/btf scripts/release scripts/screenshot scripts/kernels/fetch scripts/kernels/boot scripts/kernels/payload scripts/kernels/test scripts/kernels/table .ci/run ui/build ui/test/run-unit ui/test/run-browser ui/test/run-bench
# What the tests run, programs included. A build of one package alone would choose other features of what it needs, and build it all again.
BUILD_TESTS = $(CARGO) test --workspace --no-run
HAS_NEXTEST := $(shell $(CARGO) nextest --version 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help run demo build release test test-release test-unit test-ui test-oracle bench bench-ui test-kernels test-kernels-short test-arm64 btf lint fmt fuzz fuzz-short docs clean setup-build setup-test setup-demo setup-ui setup-kernels setup-btf setup-arm64 ui

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: setup-build ## build and start the agent; needs root, asks sudo if need be
	$(CARGO) build --release
	$(SUDO) target/release/steth run --data /var/lib/steth

demo: setup-build setup-demo ## the agent and a small shop of real services to look at, until Ctrl-C (root; docs/demo.md)
	$(CARGO) build --release
	$(SUDO) demo/run

build: setup-build ## the release binary, target/release/steth
	$(CARGO) build --release

release: setup-build ## the release binary as one file that runs on any distribution, target/dist (docs/release.md)
	scripts/release

test-release: setup-build setup-test ## build that, and run it where nothing else is (root)
	scripts/release
	STETH_TEST_RELEASE=$(CURDIR)/target/dist/steth-$(shell uname -m) $(CARGO) test -p steth --test all -- --ignored release::

test: setup-build setup-test setup-demo setup-ui ## all tests, on the running kernel (root), and a short fuzz run
ifdef HAS_NEXTEST
	$(CARGO) nextest run --workspace --no-fail-fast
	$(CARGO) test --workspace --doc
else
	$(CARGO) test --workspace --no-fail-fast
endif
	$(MAKE) test-ui
	$(MAKE) fuzz-short

test-unit: setup-build ## only what needs neither root nor servers
	$(CARGO) test --workspace --lib --bins

test-ui: setup-build setup-test setup-demo setup-ui ## the web page: units, and in a browser against an agent that observes the shop (root)
	ui/test/run-unit
	$(BUILD_TESTS)
	STETH_AGENT=$(CURDIR)/target/debug/steth $(SUDO) ui/test/run-browser

ui: setup-ui ## build the web page anew into ui/dist, which is committed
	ui/build

test-oracle: setup-build setup-test ## Oracle's MySQL too (root; fetches it into target/oracle-mysql; docs/testing.md)
	scripts/oracle-mysql target/oracle-mysql
	STETH_TEST_MYSQL_TREE=$(CURDIR)/target/oracle-mysql $(CARGO) test -p steth --test all -- --ignored oracle_mysql::

test-kernels: setup-build setup-kernels ## the agent on Debian's kernels, in an emulated machine (fetches them into target/kernels; docs/kernels.md)
	scripts/kernels/test $(KERNELS)

test-kernels-short: setup-build setup-kernels ## the same on one of them, and only what is quick
	scripts/kernels/test --short $(or $(KERNELS),6.1)

test-arm64: setup-build setup-arm64 ## build for arm64, run its tests and recordings under emulation, and the agent on kernels for it (fetches into target/arm64; docs/release.md)
	scripts/arm64/test
	scripts/arm64/kernels

btf: setup-build setup-btf ## trim kernels' type information (FILES=...) and build it into the next binary (docs/kernels.md)
	scripts/btf $(FILES)

bench: setup-build setup-test ## what the agent costs (root; about a quarter of an hour; docs/performance.md)
	$(CARGO) bench -p steth --bench cost -- --write

bench-ui: setup-build setup-test setup-ui ## how fast the page is, on maps of 150 and 500 services (root; the rows of docs/performance.md)
	$(CARGO) build --release
	$(SUDO) ui/test/run-bench

lint: setup-build setup-ui ## formatting, clippy, documentation, scripts, dependency policy
	$(CARGO) fmt --all -- --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	bash -n $(SCRIPTS)
	ui/build --check
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --workspace check bans licenses sources; \
	else echo "cargo-deny is not installed; the test 'house' checks licences, duplicates and sources all the same"; fi

fmt: ## format everything
	$(CARGO) fmt --all

fuzz: setup-build ## attack each parser for FUZZ_SECONDS; libFuzzer if cargo-fuzz and nightly are there
	@if $(CARGO) +nightly fuzz --version >/dev/null 2>&1; then \
		for target in $(FUZZ_TARGETS); do \
			mkdir -p fuzz/corpus/$$target && \
			$(CARGO) +nightly fuzz run --features libfuzzer $$target fuzz/corpus/$$target fuzz/seeds/$$target \
				-- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 || exit 1; \
		done; \
	else \
		echo "no cargo-fuzz on nightly (cargo install cargo-fuzz --locked): mutating the seeds on stable, without coverage"; \
		$(MAKE) fuzz-short FUZZ_SHORT="--seconds $(FUZZ_SECONDS) --seed random"; \
	fi

fuzz-short: setup-build ## the same inputs each time, for a short time, on stable Rust
	$(BUILD_TESTS)
	@printf '%s\n' $(FUZZ_TARGETS) | xargs -P $$(nproc) -I TARGET target/debug/mutate TARGET $(FUZZ_SHORT)

docs: ## the API documentation, target/doc
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

clean: ## remove what was built
	$(CARGO) clean
	rm -rf fuzz/artifacts fuzz/corpus

setup-build:
	@scripts/setup build

setup-test:
	@scripts/setup test

setup-kernels:
	@scripts/setup kernels

setup-arm64:
	@scripts/setup arm64

setup-btf:
	@scripts/setup btf

setup-demo:
	@scripts/setup demo

setup-ui:
	@scripts/setup ui
