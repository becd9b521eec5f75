# make drill    plays the outage and prints the verdict        make test     everything that must hold
# make world    a simulated AWS on loopback HTTP               make lambdas  deployable zips
CARGO ?= cargo
FUNCTIONS = observe-region page-humans promote-aurora verify-replication
SCENARIO ?= dublin-dark
SEED ?= 1
# arm64 is the cheaper Lambda; x86-64 builds where no other Rust target is installed.
LAMBDA_ARCH ?= arm64

.PHONY: drill test world lambdas fmt

drill:
	$(CARGO) run --quiet -p drill -- $(SCENARIO) --seed $(SEED)

test:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) test --workspace --locked

world:
	$(CARGO) run --quiet -p holdfast-world --bin world

# Each function by itself, so that no feature of one leaks into another.
lambdas: .cargo-lambda
	for function in $(FUNCTIONS); do \
	  $(CARGO) lambda build --release $(LAMBDA_ARCH:%=--%) --output-format zip -p $$function --bin $$function || exit 1; \
	done

.PHONY: .cargo-lambda
.cargo-lambda:
	@$(CARGO) lambda --version >/dev/null 2>&1 || pip install --quiet cargo-lambda==1.9.2 || \
	  { echo "cargo-lambda is missing and could not be installed; try: pip install cargo-lambda" >&2; exit 1; }

fmt:
	$(CARGO) fmt --all
