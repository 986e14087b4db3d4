# Needs Rust (cargo, rustfmt, clippy). `make demo` and `make test` install what else is missing on Debian and Ubuntu.

CARGO ?= cargo
LERAC := $(CARGO) run --release --quiet --
OUT := out/demo
export CARGO_TARGET_DIR ?= $(CURDIR)/target
# A crate of its own, which shares what is built.
OUTSIDE = cd examples/outside && $(CARGO)

# Mesa's device-selection layer complains on machines without a desktop, and there is nothing for it to select.
export NODEVICE_SELECT := 1

.DEFAULT_GOAL := help
.PHONY: help demo test test-library examples bits check check-all bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Train a small CNN on Fashion-MNIST three ways (conventional, LeRaC, CBS); table and pictures in out/demo
	@sh scripts/ensure-adapter.sh
	@sh scripts/ensure-data.sh
	$(CARGO) build --release
	rm -rf $(OUT)
	$(LERAC) compare --data fashion-mnist --model lenet --methods conventional,lerac,cbs --epochs 3 --train-examples 28000 \
		--eta 0.05 --nesterov --schedule cosine --range 5e-2..5e-4 --sigma-every 1 --out $(OUT)

test: ## Run every test; a missing adapter is a failure, missing data sets are said
	@sh scripts/ensure-adapter.sh
	@sh scripts/ensure-data.sh || true
	REQUIRE_GPU=1 $(CARGO) test --release

test-library: ## The tests that need no command line, without its feature; op table and adjoints are left out: no feature changes them
	@sh scripts/ensure-adapter.sh
	REQUIRE_GPU=1 $(CARGO) test --release --no-default-features --features report --tests -- --skip op_table --skip adjoint

examples: ## Run every example; build, train, kill and continue the crate in examples/outside
	@sh scripts/ensure-adapter.sh
	for example in examples/*.rs; do $(CARGO) run --release --quiet --example $$(basename $$example .rs) || exit 1; done
	$(OUTSIDE) test --release
	rm -rf out/outside
	$(OUTSIDE) run --release --quiet -- $(CURDIR)/out/outside --check

bits: ## Train every method and nearly every model for a few steps and compare the bits with tests/golden/bits.json
	@sh scripts/ensure-adapter.sh
	$(CARGO) build --release
	python3 tests/golden/bits.py $(CARGO_TARGET_DIR)/release/lerac

check-all: ## Everything: .ci/run, and the bits
	.ci/run
	$(MAKE) bits

check: ## Formatting, lints and documentation, with warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features --features records -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --all-features
	cd examples/outside && $(CARGO) fmt --check && $(CARGO) clippy --all-targets -- -D warnings

bench: ## Time the op table, whole steps and the fused update
	@sh scripts/ensure-adapter.sh
	$(CARGO) bench
	$(LERAC) bench step
	$(LERAC) bench update

clean: ## Remove what was built and what the demo left
	$(CARGO) clean
	rm -rf out/demo out/outside
