# Tasks of the project; `just` lists them. https://just.systems

_list:
    @just --list --unsorted

# What CI runs: format, clippy, licences, documentation, tests, sample data, release build, first look
check:
    .ci/run

# All tests; those on sample data run where LAPWING_DATA names its folder
test *arguments:
    cargo test --workspace {{arguments}}

# Format and clippy only: seconds, before each commit
lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings

# The first look: learns a clean capture, scans another, prints its alerts
demo:
    cargo run --release -- scan corpus/first-look/suspicious.pcap --baseline corpus/first-look/clean.pcap

# Pages of every crate
documentation:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Speed beside softflowd and tcpdump; needs LAPWING_BENCH, the folder with make_capture.py and bare_loop.c
bench rounds="5":
    cargo build --release
    benches/speed.py --rounds {{rounds}}

# Peak memory of scan on a large capture and under a flood of invented sources
memory capture:
    cargo build --release
    benches/memory.py target/release/lapwing scan {{capture}} --format json --output /dev/null

# Live capture at the highest rate of a veth pair, beside tcpdump (root, tcpreplay)
live capture:
    cargo build --release
    benches/live.py --capture {{capture}}

# The detection table of docs/scorecard.md, from the corpus and the sample data
detection:
    cargo build --release
    benches/detection.py ${LAPWING_DATA:-}

# Every sample capture: exit status, packet count beside capinfos, peak memory
robust:
    cargo build --release
    benches/robust.py ${LAPWING_DATA:-}

# Fuzzes one target for ten minutes; `cargo fuzz list` names them (docs/fuzzing.md)
fuzz target seconds="600":
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Records behaviours of the corpus anew (root, Linux; corpus/README.md) and checks what they claim
corpus +names:
    corpus/record {{names}}
    corpus/check {{names}}
