# What one does with this repository. `just` lists it.

_list:
    @just --list --unsorted

# Everything a change must pass, tools at hand assumed (`.ci/run` fetches them)
check: fmt clippy test doc deny

# Formatting is as rustfmt wants it
fmt:
    cargo fmt --check

# Lints, warnings as errors, with and without the local stand
clippy:
    cargo clippy --locked --all-targets -- -D warnings
    cargo clippy --locked --no-default-features -- -D warnings

# All tests, on the embedded servers
test:
    cargo test --locked

# Leases in SEEDS simulated worlds; the ordinary test run has 20,000
simulate SEEDS="200000" FIRST="0":
    TIDEWIRE_SIMULATION_SEEDS={{SEEDS}} TIDEWIRE_SIMULATION_FIRST={{FIRST}} cargo test --locked --package tidewire-simulation --test lease_simulation every_world -- --nocapture

# A fleet of SHARDSxWORKERS in simulated time: how soon it is at rest, and what its lease table costs
fleet SIZE="1000x50":
    TIDEWIRE_FLEET={{SIZE}} cargo test --locked --package tidewire-simulation --test lease_fleet large_fleet -- --nocapture

# Defects planted in the leases, one after the other: does the simulation find each?
bites *ARGS:
    tests/bites/run {{ARGS}}

# The API's documentation, warnings as errors
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps

# Licences, banned crates, sources
deny:
    cargo deny check --hide-inclusion-graph licenses bans sources

# Known vulnerabilities; fetches the advisory database
audit:
    cargo deny check advisories

# What others made: aggregates of the KPL, InfluxDB and VictoriaMetrics, another Kinesis
check-peers:
    tests/peers/check-kpl
    checks/influx
    checks/fan-out

# The InfluxDB sink against Debian's InfluxDB and VictoriaMetrics, which apt-get brings
check-influx:
    checks/influx

# Terraform, manifests, IAM policies, compose.yaml and the image, without an account or a Docker engine
check-deploy:
    checks/deploy-all

# The Dockerfile built and its image run by Buildah and runc: `--whole`, `--arm64`, `--bites`
check-image *ARGS:
    checks/image {{ARGS}}

# Each sink gone for SECONDS of real time while readings arrive
check-outage SECONDS="60":
    checks/outage {{SECONDS}}

# What doctor says of a stand that is well, and of one fault after another
check-doctor:
    checks/doctor

# Prometheus's rules and their unit tests, in seconds; promtool comes with apt-get
check-rules:
    checks/rules

# Every query of dashboards and rules on a Prometheus that scrapes a stand under load, drawn by Chromium
check-dashboards SECONDS="90":
    checks/dashboards {{SECONDS}}

# A fleet under load and one random fault after another, for so many minutes (`just soak 10 --seed 20`)
soak MINUTES="60" *ARGS:
    @command -v python3 >/dev/null || { echo "cannot run: this machine lacks Python 3" >&2; exit 3; }
    checks/soak {{MINUTES}} {{ARGS}}

# The local stand's MQTT listener with Mosquitto's programs
check-mqtt:
    checks/mqtt

# Traces, read by OpenTelemetry's own Python package, which pip brings; `--collector` puts its Collector in between
check-traces *ARGS:
    checks/traces {{ARGS}}

# Enhanced fan-out against another implementation of Kinesis, over HTTP/2; fetches it with npm
check-fan-out:
    checks/fan-out

# From put to browser, polled and by fan-out, for SECONDS each at RATE readings a second
check-latency SECONDS="60" RATE="1000":
    checks/latency {{SECONDS}} {{RATE}}

# Try bent inputs on every decoder and parser, for so many minutes
fuzz MINUTES="2":
    TIDEWIRE_FUZZ_SECONDS=$(({{MINUTES}} * 60)) cargo test --locked --test fuzz -- --nocapture

# Aggregates made by another implementation decode as they should; fetches it with pip
check-kpl:
    tests/peers/check-kpl

# The browser's module on a simulated browser; needs Node 20
test-client:
    @command -v node >/dev/null || { echo "cannot run: this machine lacks Node 20 or later" >&2; exit 3; }
    cd clients/browser && node --test

# The module and the page in Chromium, through the real local gateway (`checks/browser FILE` for a part)
test-browser *ARGS:
    checks/browser {{ARGS}}

# Thousands of viewers on loopback, and what they cost beside one post a reading
load-viewers *ARGS:
    checks/load-viewers {{ARGS}}

# What AWS would bill for a load on the local stand, beside the blog's Lambdas (docs/costs.md)
check-costs *ARGS:
    checks/costs {{ARGS}}

# CPU seconds per million readings beside the floor, and peak memory, into bench/results.json
bench *ARGS:
    bench/run {{ARGS}}

# Write the pages that come from tables in the code
bless:
    TIDEWIRE_BLESS=1 cargo test --test docs

# Everything on this machine, with a page to look at
local *ARGS:
    cargo run -- local {{ARGS}}

# Java KCL and tidewire on one lease table; needs a JVM, Maven and Python (`just interop --help`)
interop *ARGS:
    @command -v python3 >/dev/null || { echo "cannot run: this machine lacks Python 3" >&2; exit 3; }
    python3 interop/run.py {{ARGS}}

# The container image, without the local stand
image TAG="tidewire:dev":
    docker build --build-arg COMMIT="$(git rev-parse HEAD)" --tag {{TAG}} .
