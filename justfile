# Short names for what people do here; `just` lists them.

default:
    @just --list

# Everything CI runs
test:
    tests/run

# The quick inner loop
check:
    cargo fmt --check
    cargo clippy --all-targets -- -D warnings
    cargo nextest run

# Try it: collector, this machine enrolled and scanned, review pages
demo:
    cargo run --release --bin assay-collector -- demo

# Whole-process benches beside their peers
bench:
    tests/bench/run

# Write the golden vectors anew (a changed vector is a changed format)
vectors:
    ASSAY_WRITE_VECTORS=1 cargo nextest run formats
