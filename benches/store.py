#!/usr/bin/env python3
"""Fills a store with made-up flows and alerts of a month, asks it what a dashboard asks, and says how long that took.

    cargo build --release
    cargo build --release -p lapwing-store --example filled_store
    benches/store.py [--flows 5000000] [--alerts 100000] [--megabytes N] [--capture FILE] [--folder DIR]

Each question must be answered within 100 ms (median of five, in the process). With --megabytes N the store may take no more,
and must not exceed that by a tenth at any time. With --capture the rate at which flows are kept is set beside the rate at
which `lapwing flows` and `lapwing scan` make them of that capture, with and without a store. Exit status 1 if a figure is
missed.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAST = 100  # ms
# Questions that need not be answered from roll-ups and indexes alone.
FROM_FLOWS = "flow"


def seconds(command):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def beside_engine(lapwing, capture, folder):
    document = subprocess.run([lapwing, "scan", capture, "--format", "json"], check=True, capture_output=True).stdout
    flows = json.loads(document)["summary"]["flows"]
    with tempfile.TemporaryDirectory(dir=folder) as store:
        runs = {
            "flows": [lapwing, "flows", capture, "--output", "/dev/null", "--format", "zeek"],
            "scan": [lapwing, "scan", capture, "--output", "/dev/null", "--format", "jsonl"],
            "scan --store": [lapwing, "scan", capture, "--output", "/dev/null", "--format", "jsonl", "--store", store],
        }
        for name, command in runs.items():
            took = seconds(command)
            print(f"{name:14} {flows} flows in {took:.2f} s: {flows / took:,.0f} per second")


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--flows", type=int, default=5_000_000)
    arguments.add_argument("--alerts", type=int, default=100_000)
    arguments.add_argument("--megabytes", type=int, default=0)
    arguments.add_argument("--capture")
    arguments.add_argument("--folder", help="where the store is made, and removed again")
    arguments.add_argument("--target", default=ROOT / "target", type=pathlib.Path)
    options = arguments.parse_args()

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        program = options.target / "release/examples/filled_store"
        command = [program, str(options.flows), str(options.alerts), str(options.megabytes)]
        environment = {**os.environ, "LAPWING_BENCH_STORE": folder}
        result = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
    failed = False
    print(f"kept {result['flows']} flows at {result['flows_per_second']:,} per second, "
          f"{result['alerts']} alerts at {result['alerts_per_second']:,} per second, in {result['bytes'] / 1e6:.0f} MB")
    for asked in result["asked"]:
        missed = asked["median_ms"] >= FAST and not asked["what"].startswith(FROM_FLOWS)
        failed |= missed
        print(f"{asked['what']:34} {asked['rows']:6} rows {asked['median_ms']:8.1f} ms (most {asked['most_ms']:.1f})"
              f"{'   TOO SLOW' if missed else ''}")
    if options.megabytes:
        over = result["largest_bytes"] > options.megabytes * 1.1e6
        failed |= over
        print(f"at most {result['largest_bytes'] / 1e6:.1f} MB of {options.megabytes}{'   TOO MUCH' if over else ''}")
    if options.capture:
        beside_engine(options.target / "release/lapwing", options.capture, options.folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
