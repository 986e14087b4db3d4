# Needs Rust (cargo, rustfmt, clippy). `make demo` and `make test` install what else is missing on Debian and Ubuntu.

CARGO ?= cargo
OUT := out/demo

.DEFAULT_GOAL := help
.PHONY: help demo test check bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-7s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Train a small CNN on Fashion-MNIST three ways (conventional, LeRaC, CBS); table and pictures in out/demo
	@sh scripts/ensure-adapter.sh
	@sh scripts/ensure-data.sh
	$(CARGO) build --release
	target/release/lerac compare --data fashion-mnist --model cnn --methods conventional,lerac,cbs --seeds 1 --epochs 1 --out $(OUT)

test: ## Run every test; a missing adapter is a failure
	@sh scripts/ensure-adapter.sh
	REQUIRE_GPU=1 $(CARGO) test --release

check: ## Formatting, lints and documentation, with warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps

bench: ## Time the kernels
	@sh scripts/ensure-adapter.sh
	$(CARGO) bench

clean: ## Remove what was built and what the demo left
	$(CARGO) clean
	rm -rf out/demo
