#!/usr/bin/env python3
"""Fills a store with made-up flows and alerts of a month, asks it what a dashboard asks, and says how long that took.

    cargo build --release
    cargo build --release -p lapwing-store --example filled_store
    benches/store.py [--flows 5000000] [--alerts 100000] [--megabytes N] [--capture FILE] [--folder DIR]

Each question is asked five times in one process, then by the command that a person would give: five times as a new process,
and three times with the store's files taken out of the system's cache before. Those of a dashboard must be answered within
100 ms either way, as long as the files are in the cache. With --megabytes N the store may take no more, alerts come among the
flows, and the files are looked at every 20 ms: they must never take a tenth more. With --capture the rate at which flows are
kept is set beside the rate at which `lapwing flows` and `lapwing scan` make them of that capture. Exit status 1 if a figure
is missed.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
FAST = 100  # ms
# The example's month: its last day, its last hour, and all of it.
END, DAY_BEFORE, HOUR_BEFORE, BEGIN = "2023-12-15T00:00:00Z", "2023-12-14T00:00:00Z", "2023-12-14T23:00:00Z", "2023-11-15T00:00:00Z"
QUESTIONS = {
    "last day by minute": f"traffic --by minute --since {DAY_BEFORE} --until {END} --limit 0",
    "month by hour": f"traffic --by hour --since {BEGIN} --until {END} --limit 0",
    "top 20 talkers of the month": f"talkers --since {BEGIN} --until {END} --limit 20",
    "top 20 talkers of the last day": f"talkers --since {DAY_BEFORE} --until {END} --limit 20",
    "alerts of a device": "alerts --device 192.168.0.7 --limit 1000",
    "last 1000 flows of a device": "flows --device 192.168.0.7 --limit 1000",
    "last 1000 flows of a quiet device": "flows --device 192.168.0.190 --limit 1000",
    "flows of a device in an hour": f"flows --device 192.168.0.7 --since {HOUR_BEFORE} --until {END} --limit 0",
    "flows of an address never seen": "flows --device 198.51.100.99",
}


class Sizes:
    """The room that a folder takes, looked at until told to stop."""

    def __init__(self, folder, cap):
        self.folder, self.cap, self.most, self.least, self.over = folder, cap, 0, None, threading.Event()
        self.thread = threading.Thread(target=self.look)
        self.thread.start()

    def look(self):
        while not self.over.wait(0.02):
            taken = sum(bytes_of(path) for path in pathlib.Path(self.folder).rglob("*"))
            self.most = max(self.most, taken)
            if self.least is not None or taken > 0.9 * self.cap:
                self.least = min(self.least or taken, taken)

    def stop(self):
        self.over.set()
        self.thread.join()


def bytes_of(path):
    try:
        return path.stat().st_size if path.is_file() else 0
    except OSError:
        return 0


def seconds(command):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.monotonic() - begun


def forget(folder):
    """Takes a folder's files out of the system's cache."""
    for path in pathlib.Path(folder).rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def ask(lapwing, folder):
    """Milliseconds of each question's command: with the files in the system's cache, and without."""
    for what, words in QUESTIONS.items():
        command = [lapwing, "query", *words.split(), "--store", folder, "--format", "jsonl"]
        warm = statistics.median(seconds(command) for _ in range(5))
        cold = []
        for _ in range(3):
            forget(folder)
            cold.append(seconds(command))
        yield what, warm * 1e3, statistics.median(cold) * 1e3


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
    lapwing = options.target / "release/lapwing"

    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        program = options.target / "release/examples/filled_store"
        command = [program, str(options.flows), str(options.alerts), str(options.megabytes)]
        environment = {**os.environ, "LAPWING_BENCH_STORE": folder}
        sizes = Sizes(folder, options.megabytes * 1e6) if options.megabytes else None
        result = json.loads(subprocess.run(command, check=True, capture_output=True, env=environment).stdout)
        if sizes:
            sizes.stop()
        commands = {what: taken for what, *taken in ask(lapwing, folder)}
    failed = False
    rate = "among them" if options.megabytes else f"at {result['alerts_per_second']:,} per second"
    print(f"kept {result['flows']} flows at {result['flows_per_second']:,} per second, {result['alerts']} alerts {rate}, "
          f"in {result['bytes'] / 1e6:.0f} MB")
    print(f"{'milliseconds':34} {'rows':>6}  {'first':>7} {'median':>7} {'most':>7}  {'command':>7} {'cold':>7}")
    for asked in result["asked"]:
        warm, cold = commands[asked["what"]]
        slowest = max(asked["most_ms"], warm)
        missed = slowest >= FAST and "flows" not in asked["what"]
        failed |= missed
        print(f"{asked['what']:34} {asked['rows']:6}  {asked['first_ms']:7.1f} {asked['median_ms']:7.1f} {asked['most_ms']:7.1f}  "
              f"{warm:7.1f} {cold:7.1f}{'   TOO SLOW' if missed else ''}")
    if sizes:
        missed = sizes.most > sizes.cap * 1.1
        failed |= missed
        print(f"the files took at most {sizes.most / 1e6:.1f} MB of {options.megabytes}, and no less than "
              f"{(sizes.least or 0) / 1e6:.1f} MB once they had come near{'   TOO MUCH' if missed else ''}")
    if options.capture:
        beside_engine(lapwing, options.capture, options.folder)
    sys.exit(failed)


if __name__ == "__main__":
    main()
