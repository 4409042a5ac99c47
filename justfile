# The recipes people and the continuous integration share. `just --list` tells what there is.

# List the recipes.
default:
    @just --list

# Everything a change has to pass: format, lints, documentation, dependencies, tests.
check:
    .ci/check

# The tests alone.
test *ARGS:
    cargo test --workspace --all-features {{ARGS}}

# The reliability lab: checks, cases, failures, time. `just lab --list`; docs/lab.md is the manual.
lab *ARGS:
    cargo run --quiet -p taffrail-lab -- {{ARGS}}

# The lab at its long sizes: hours.
soak *ARGS:
    cargo run --quiet -p taffrail-lab -- --soak {{ARGS}}

# The simulated machine's tests, on one seed.
sim SEED:
    TAFFRAIL_SIM_SEED={{SEED}} cargo test --workspace --all-features --lib sim_no_crash -- --nocapture

# The runbook for broken stores, docs/recovery.md: every block of it is run, a line for each section.
drills:
    cargo test --quiet --package taffrail-tests --all-features --test it -- drills --nocapture

# Every fuzz target, for SECS seconds each; needs a nightly compiler and cargo-fuzz.
fuzz SECS="30":
    .ci/fuzz {{SECS}}

# Group commit, followers and racing processes in thousands of interleavings.
interleavings *ARGS:
    .ci/interleavings {{ARGS}}

# Changes of the code that no test notices; needs cargo-mutants. `just mutants 1/8` tries an eighth of them.
mutants *ARGS:
    .ci/mutants {{ARGS}}

# Lines of log-format and of recovery that no test runs; fails under 98 %. Needs cargo-llvm-cov and llvm-tools.
coverage:
    .ci/coverage

# The tests of log-format under miri; needs a nightly compiler with miri.
miri *ARGS:
    .ci/miri {{ARGS}}

# taffrail beside its peers and the limits of this machine: `just compare --data DIR --assert`; `--publish` writes the figures down.
compare *ARGS:
    cargo build --release -p taffrail-cli
    cargo run --release --manifest-path compare/Cargo.toml --ignore-rust-version -- --command target/release/taffrail {{ARGS}}

# The same flipped bits, cuts and zeros to taffrail and to its peers: what is lost, and who says so.
damage *ARGS:
    cargo run --release --manifest-path compare/Cargo.toml --ignore-rust-version -- damage {{ARGS}}

# How the cost of a store grows, measured and drawn into docs/scaling.
scaling *ARGS:
    cargo run --release --manifest-path bench/Cargo.toml -- scaling --pictures docs/scaling {{ARGS}}

# The memory that dump and verify take on a log of 4 GiB.
resident *ARGS:
    cargo build --release -p taffrail-cli
    cargo run --release --manifest-path bench/Cargo.toml -- resident --command target/release/taffrail {{ARGS}}

# The parts of the log and of the folds, one at a time.
bench *ARGS:
    cargo bench -p taffrail {{ARGS}}

# Instructions of the hot paths against the committed counts; `just instructions --bless` writes them anew.
instructions *ARGS:
    .ci/instructions {{ARGS}}

# Write new golden files. Existing ones are never changed: the tests refuse that.
bless:
    TAFFRAIL_BLESS=1 cargo test --workspace --all-features
