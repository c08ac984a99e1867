# `just` lists the recipes.

export CARGO_TERM_COLOR := "auto"

# List the recipes
default:
    @just --list

# Start a server with example tools and call them (`just demo --check` checks and exits)
demo *args:
    cargo run --release -- demo {{ args }}

# Formatting, lints and API documentation, warnings as errors
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Every test that needs nothing but a Rust toolchain
test *args:
    cargo test --workspace {{ args }}

# Build the demo's components again from their sources
guests:
    #!/usr/bin/env bash
    set -euo pipefail
    target="$PWD/target/guests"
    for source in guest-examples/calculator guest-examples/text-stats guest-examples/mandelbrot guest-examples/runaway apis/json-tools; do
        # The package may be called otherwise than its folder.
        package=$(sed -n 's/^name = "\(.*\)"/\1/p' "$source/Cargo.toml" | head -1)
        cargo build --release --locked --target wasm32-wasip2 --manifest-path "$source/Cargo.toml" --target-dir "$target"
        cp "$target/wasm32-wasip2/release/${package//-/_}.wasm" "runtime/cli/demo/$(basename "$source").wasm"
    done

# Foreign clients (Python, TypeScript, a browser) against a release build
clients *args:
    cargo build --release
    FUMEHOOD="${CARGO_TARGET_DIR:-target}/release/fumehood" tests/clients/run {{ args }}

# The official MCP conformance suite, all of it, against a release build and a component that has every fixture
conformance *args:
    cargo build --release
    FUMEHOOD="${CARGO_TARGET_DIR:-target}/release/fumehood" tests/clients/conformance {{ args }}

# Throughput and latency beside bare axum and bare rmcp (`just bench cold`, `restart`, `inflight` for the others)
bench scenario="http" *args:
    cargo build --release -p fumehood -p fumehood-bench
    cargo run --release -p fumehood-bench -- {{ scenario }} {{ args }}

# The same tool in each language whose toolchain is here: size, build time, cold and warm call
bench-languages *args:
    cargo build --release -p fumehood -p fumehood-bench
    cargo run --release -p fumehood-bench -- languages {{ args }}

# Goal S8. Fuzz every target for two minutes each, or for as long as said: `just fuzz 30`; `just fuzz 600 lower` runs one
fuzz seconds="120" target="":
    tests/fuzz {{ seconds }} {{ target }}

# Hostile and honest guests mixed at full load, for so many seconds; exits with 1 when a gate is missed
soak seconds="60" *args:
    cargo build --release -p fumehood -p fumehood-bench
    cargo run --release -p fumehood-bench -- soak --seconds {{ seconds }} {{ args }}

# Kill the server so many times while jobs are submitted: none may be lost, none may end twice; exits with 1 when one was
chaos kills="500" *args:
    cargo build --release -p fumehood -p fumehood-bench
    cargo run --release -p fumehood-bench -- chaos --kills {{ kills }} {{ args }}

# Goal S7: no request of a guest reaches an address that it must not, over a corpus of places, each tried in three ways
ssrf:
    cargo test --workspace --lib -- http::tests::ssrf --nocapture

# The numeric goals of the sandbox: `just goals` for all, `just goals s2 s9` for some
goals *args="s1 s2 s3 s4 s5 s6 s9 cost":
    cargo build --release -p fumehood -p fumehood-bench
    cargo run --release -p fumehood-bench -- goal {{ args }}

# The book, into target/book
book:
    mdbook build docs

# Everything that must pass before a change is merged
ci:
    .ci/run
