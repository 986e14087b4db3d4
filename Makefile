# Needs Rust (cargo, rustfmt, clippy). `make demo` and `make test` install what else is missing on Debian and Ubuntu.

CARGO ?= cargo
LERAC := $(CARGO) run --release --quiet --
OUT := out/demo

# Mesa's device-selection layer complains on machines without a desktop, and there is nothing for it to select.
export NODEVICE_SELECT := 1

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

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

check: ## Formatting, lints and documentation, with warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

bench: ## Time the op table, whole steps and the fused update
	@sh scripts/ensure-adapter.sh
	$(CARGO) bench
	$(LERAC) bench step
	$(LERAC) bench update

clean: ## Remove what was built and what the demo left
	$(CARGO) clean
	rm -rf out/demo
