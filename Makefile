# Needs Rust (cargo, rustfmt, clippy). `make demo` and `make test` install what else is missing on Debian and Ubuntu.

CARGO ?= cargo
LERAC := $(CARGO) run --release --quiet --
OUT := out/demo
export CARGO_TARGET_DIR ?= $(CURDIR)/target
# A separate crate that shares the build directory.
OUTSIDE = cd examples/outside && $(CARGO)

# Mesa's device-selection layer prints an error on machines without a desktop. It is not needed.
export NODEVICE_SELECT := 1

.DEFAULT_GOAL := help
.PHONY: help demo web test test-library test-web examples bits windows slurm onnx dx12 check check-all bench clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Train a small CNN on Fashion-MNIST three ways (conventional, LeRaC, CBS); table and pictures in out/demo
	@sh scripts/ensure-adapter.sh
	@sh scripts/ensure-data.sh
	$(CARGO) build --release
	rm -rf $(OUT)
	$(LERAC) compare --data fashion-mnist --model lenet --methods conventional,lerac,cbs --epochs 3 --train-examples 28000 \
		--eta 0.05 --nesterov --schedule cosine --range 5e-2..5e-4 --sigma-every 1 --out $(OUT)

web: ## Build the page that trains in a browser into web/dist, and serve it on localhost:8000
	@sh scripts/build-web.sh
	@echo "http://localhost:8000/ (Ctrl-C ends the server)"
	@python3 -m http.server 8000 --bind 127.0.0.1 --directory web/dist

test: ## Run every test; a missing adapter is a failure, missing data sets are reported
	@sh scripts/ensure-adapter.sh
	@sh scripts/ensure-data.sh || true
	@sh scripts/ensure-minilm.sh || true
	REQUIRE_GPU=1 $(CARGO) test --release

test-library: ## Run the tests of the library without the command line; op table and adjoints do not depend on features and are skipped
	@sh scripts/ensure-adapter.sh
	REQUIRE_GPU=1 $(CARGO) test --release --no-default-features --features report --tests -- --skip op_table --skip adjoint

test-web: ## Build the page and test it in headless Chromium; screenshots in out/web
	@sh scripts/check-web.sh

examples: ## Run every example; build, train, kill and continue the crate in examples/outside
	@sh scripts/ensure-adapter.sh
	for example in examples/*.rs; do $(CARGO) run --release --quiet --example $$(basename $$example .rs) || exit 1; done
	$(OUTSIDE) test --release
	rm -rf out/outside
	$(OUTSIDE) run --release --quiet -- $(CURDIR)/out/outside --check

bits: ## Train every method and nearly every model for a few steps and compare the results bit for bit with tests/golden/bits.json
	@sh scripts/ensure-adapter.sh
	$(CARGO) build --release
	python3 tests/golden/bits.py $(CARGO_TARGET_DIR)/release/lerac

windows: ## Build for Windows; run, interrupt, kill, continue, compare and test under Wine, against the Linux build
	bash scripts/check-windows.sh --long

slurm: ## Run a comparison on a real Slurm: cancel, requeue, let the node fail; compare with one process
	bash scripts/check-slurm.sh --long

onnx: ## Export image models as ONNX and compare them with onnxruntime
	bash scripts/check-onnx.sh

dx12: ## Compile every kernel, translated to HLSL, by DirectX's compiler DXC
	sh scripts/check-dxc.sh

check-all: ## Run everything: .ci/run, make bits, make windows, make slurm, make onnx and make dx12
	.ci/run
	$(MAKE) bits
	$(MAKE) windows
	$(MAKE) slurm
	$(MAKE) onnx
	$(MAKE) dx12

check: ## Check formatting, lints and documentation, with warnings denied
	$(CARGO) fmt --check
	$(CARGO) clippy --all-targets --all-features -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features -- -D warnings
	$(CARGO) clippy --all-targets --no-default-features --features records -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --all-features
	cd examples/outside && $(CARGO) fmt --check && $(CARGO) clippy --all-targets -- -D warnings
	cd web && $(CARGO) fmt --check && $(CARGO) clippy --all-targets -- -D warnings
	cd web/bindgen && $(CARGO) fmt --check

bench: ## Time the op table, whole steps and the fused update
	@sh scripts/ensure-adapter.sh
	$(CARGO) bench
	$(LERAC) bench step
	$(LERAC) bench update

clean: ## Remove the build and the results of the demo
	$(CARGO) clean
	rm -rf out/demo out/outside out/web web/dist
