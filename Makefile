# make drill    plays the outage and prints the verdict        make test     everything that must hold
# make lab      the same outage against every topology: a table, and lab.csv beside the build
# make world    a simulated AWS on loopback HTTP               make lambdas  deployable zips
# make campaign SEEDS=10000    random nights against every invariant
# make bench-receipts KEYS=1000000    the plan of reconcile-receipts beside rclone check, on one server
# make live-drill    the outage on real PostgreSQL, the functions' release binaries, real seconds
# make bench-failover    the write outage of the live drill beside Patroni's and pg_auto_failover's
# make bench-functions    cold start, latency, memory and size of every function, beside Python
# make crash    every call of every scenario struck in every way (hours)     make bugs   the table of deliberate bugs
# make bench-ledger    5 million payments matched against a settlement file, beside DuckDB
# make infra-check    the Terraform: validity, its tests, a security scan
# make infra-apply-local    apply to an AWS of this machine, plan again, set an alarm off, destroy
# make fuzz     hostile input for every parser, by coverage    make mutants  lines that no test would miss
CARGO ?= cargo
FUNCTIONS = check-readiness observe-region page-humans promote-aurora reconcile-ledger reconcile-receipts shift-traffic verify-replication
SCENARIO ?= dublin-dark
SEED ?= 1
SEEDS ?= 500
# arm64 is the cheaper Lambda; x86-64 builds where no other Rust target is installed.
LAMBDA_ARCH ?= arm64

# How long each fuzz target runs.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS = trigger config records names

# The size of the benchmark's buckets, and where its programs are.
KEYS ?= 1000000
BENCH = $(or $(CARGO_TARGET_DIR),target)/campaign

.PHONY: drill test world lambdas fmt campaign bugs crash fuzz mutants bench-ledger bench-receipts

drill:
	$(CARGO) run --quiet -p drill -- $(SCENARIO) --seed $(SEED)

# The table on the screen, every figure in the file.
LAB_CSV ?= $(or $(CARGO_TARGET_DIR),target)/lab.csv
.PHONY: lab
lab:
	$(CARGO) run --quiet -p holdfast-lab --bin lab -- --seed $(SEED) --csv $(LAB_CSV)
	@echo "Every figure: $(LAB_CSV)"

test: postgresql chromium
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(if $(wildcard $(PG_CTL)),,HOLDFAST_WITHOUT_POSTGRESQL=1) $(if $(CHROMIUM),,HOLDFAST_WITHOUT_CHROMIUM=1) $(CARGO) test --workspace --locked

# Where `make postgresql` and the tests find it. Without it they say so and pass over.
PG_CTL = $(firstword $(shell command -v pg_ctl) $(wildcard /usr/lib/postgresql/*/bin/pg_ctl))

.PHONY: postgresql
postgresql:
	@command -v pg_ctl >/dev/null || ls /usr/lib/postgresql/*/bin/pg_ctl >/dev/null 2>&1 \
	  || { command -v apt-get >/dev/null && (apt-get update; apt-get install --yes --no-install-recommends postgresql) >/dev/null 2>&1; } \
	  || echo "PostgreSQL is missing and could not be installed: the tests against a real server are passed over; try: apt-get install postgresql" >&2

# The report is tested in a real browser. Without it those tests say so and pass over.
CHROMIUM = $(firstword $(foreach name,chromium chromium-browser google-chrome,$(shell command -v $(name))))

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null \
	  || { command -v apt-get >/dev/null && (apt-get update; apt-get install --yes --no-install-recommends chromium fonts-dejavu-core) >/dev/null 2>&1; } \
	  || echo "Chromium is missing and could not be installed: the report's tests in a browser are passed over; try: apt-get install chromium" >&2

# The campaign profile is a release that builds in minutes and catches panics.
campaign:
	$(CARGO) run --quiet --profile campaign -p drill -- campaign --seeds $(SEEDS)

bugs:
	$(CARGO) run --quiet -p drill -- bugs --markdown tests/drill/CAMPAIGN.md

crash:
	$(CARGO) run --quiet --profile campaign -p drill -- crash

# Twice: compare only, without latency; and apply, with that of S3. What it prints is explained in tests/bench.
bench-receipts:
	@command -v rclone >/dev/null || apt-get install --yes --quiet rclone || \
	  { echo "rclone is missing and could not be installed; see https://rclone.org/install" >&2; exit 1; }
	$(CARGO) build --quiet --profile campaign -p reconcile-receipts --example receipts
	$(CARGO) build --quiet --profile campaign -p bench
	$(BENCH)/bench-receipts --keys $(KEYS)
	$(BENCH)/bench-receipts --keys 100000 --list-ms 80 --other-ms 25 --apply --alone

# The drill is built like the tests, the functions as they are deployed: the first time that takes a quarter of an hour.
LIVE ?= dublin-dark promoter-killed link-cut
RUNS ?= 3
AWS_PROMOTION ?= 0
FUNCTION_PROFILE ?= release
TARGET = $(or $(CARGO_TARGET_DIR),target)
LIVE_REPORT ?= $(TARGET)/live-drill

.PHONY: live-drill bench-functions functions
live-drill: postgresql functions
	$(CARGO) build --quiet -p live-drill --bins
	mkdir -p $(LIVE_REPORT)
	$(TARGET)/debug/live-drill $(LIVE) --runs $(RUNS) --seed $(SEED) --aws-promotion $(AWS_PROMOTION) \
	  --functions $(TARGET)/$(FUNCTION_PROFILE) --json $(LIVE_REPORT)/run.json --html $(LIVE_REPORT)/report.html
	@echo "The last run's report: $(LIVE_REPORT)/report.html"

functions:
	$(CARGO) build --quiet --profile $(FUNCTION_PROFILE) $(FUNCTIONS:%=-p %) --bins

# The peer is Python with boto3 behind awslambdaric, on the same Runtime API server and against the same AWS API.
PYTHON_PEER ?= $(TARGET)/python-peer
bench-functions: functions
	@test -x $(PYTHON_PEER)/bin/python3 || { python3 -m venv $(PYTHON_PEER) && $(PYTHON_PEER)/bin/pip install --quiet boto3 awslambdaric; } || \
	  { echo "boto3 and awslambdaric could not be installed into $(PYTHON_PEER)" >&2; exit 1; }
	$(CARGO) build --quiet --profile campaign -p bench --bin bench-functions
	$(BENCH)/bench-functions --functions $(TARGET)/$(FUNCTION_PROFILE) --python $(PYTHON_PEER)/bin/python3

# Debian's packages, with their defaults, under the same kill: minutes, and nothing else should run meanwhile.
.PHONY: bench-failover
bench-failover: postgresql functions
	@command -v patroni >/dev/null && command -v etcd >/dev/null && command -v pg_autoctl >/dev/null || { apt-get update && \
	  apt-get install --yes --no-install-recommends patroni etcd-server pg-auto-failover-cli postgresql-15-auto-failover python3-psycopg2; } >/dev/null || \
	  { echo "Patroni, etcd and pg_auto_failover could not be installed (Debian 12: patroni, etcd-server, pg-auto-failover-cli, postgresql-15-auto-failover)" >&2; exit 1; }
	$(CARGO) build --quiet -p live-drill --bins
	/usr/bin/python3 tests/live/peers/bench.py --live-drill $(TARGET)/debug/live-drill --functions $(TARGET)/$(FUNCTION_PROFILE) --runs $(RUNS)

world:
	$(CARGO) run --quiet -p holdfast-world --bin world

# ALLOW_MISSING_TERRAFORM=1 makes do without Terraform. What needs none is in `make test` (tests/drill/tests/infra.rs).
.PHONY: infra-check
infra-check:
	infra/check.sh

# An AWS of this machine: apply, plan again, an alarm that promote-aurora answers, destroy. About ten minutes.
.PHONY: infra-apply-local
infra-apply-local:
	infra/apply-local.sh

# Each function by itself, so that no feature of one leaks into another.
lambdas: .cargo-lambda
	for function in $(FUNCTIONS); do \
	  $(CARGO) lambda build --release $(LAMBDA_ARCH:%=--%) --output-format zip -p $$function --bin $$function || exit 1; \
	done

.PHONY: .cargo-lambda
.cargo-lambda:
	@$(CARGO) lambda --version >/dev/null 2>&1 || pip install --quiet cargo-lambda==1.9.2 || \
	  { echo "cargo-lambda is missing and could not be installed; try: pip install cargo-lambda" >&2; exit 1; }

# Ledger rows and settlement lines to generate, and where: 260 bytes each.
LEDGER_ROWS ?= 5000000
LEDGER_DIRECTORY ?= /tmp/holdfast-bench-ledger
bench-ledger:
	$(CARGO) build --release -p holdfast-settlement --example bench-ledger
	python3 shared/settlement/examples/bench-ledger/bench.py \
	  $${CARGO_TARGET_DIR:-target}/release/examples/bench-ledger $(LEDGER_DIRECTORY) $(LEDGER_ROWS)

# New inputs are kept in tests/fuzz/corpus (not in the repository); a failing one is left in tests/fuzz/artifacts.
fuzz:
	@$(CARGO) +nightly --version >/dev/null 2>&1 || \
	  { echo "make fuzz needs nightly Rust for its sanitizers; try: rustup toolchain install nightly" >&2; exit 1; }
	@$(CARGO) fuzz --version >/dev/null 2>&1 || \
	  { echo "make fuzz needs cargo-fuzz; try: cargo install cargo-fuzz --locked" >&2; exit 1; }
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p tests/fuzz/corpus/$$target || exit 1; \
	  $(CARGO) +nightly fuzz run --fuzz-dir tests/fuzz $$target tests/fuzz/corpus/$$target tests/fuzz/seeds events -- \
	    -max_total_time=$(FUZZ_SECONDS) -max_len=16384 -timeout=10 -print_final_stats=1 || exit 1; \
	done

# Unoptimised: each mutant is built once and run for a moment. What survives is named in mutants.out/missed.txt.
mutants:
	@$(CARGO) mutants --version >/dev/null 2>&1 || \
	  { echo "make mutants needs cargo-mutants; try: cargo install cargo-mutants --locked" >&2; exit 1; }
	CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0 $(CARGO) mutants --package holdfast-domain

fmt:
	$(CARGO) fmt --all
