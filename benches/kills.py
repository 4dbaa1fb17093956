#!/usr/bin/env python3
"""Kills `lapwing monitor` again and again while traffic passes, and says whether its store lost or repeated an alert.

    sudo benches/kills.py [--kills 200] [--lapwing target/release/lapwing] [--seed 1]

Needs root, iproute2, tcpreplay and zstd. Over a cable between two network namespaces go the captures of corpus/ and, every two
seconds, an attack from an address of its own. Each run is ended by `kill -9` at a random moment, its start included. Before each
kill the store is read as `lapwing query alerts` reads it: what it told then was written. After the kill it must open, and must
hold each of those alerts, once, in that revision or a later one. Exit status 1 if it does not.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

import watched


def stored(lapwing, store):
    """Alerts by id with their revision, how often an id came again, and milliseconds it took; `None` where it does not open."""
    begun = time.perf_counter()
    ran = subprocess.run([lapwing, "query", "alerts", "--store", store, "--limit", "0", "--format", "jsonl"],
                         capture_output=True, text=True)
    took = (time.perf_counter() - begun) * 1e3
    if ran.returncode:
        return None, ran.stderr, took
    alerts = [json.loads(line) for line in ran.stdout.splitlines()]
    revisions = {alert["id"]: alert["revision"] for alert in alerts}
    return revisions, len(alerts) - len(revisions), took


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kills", type=int, default=200)
    arguments.add_argument("--lapwing", default="target/release/lapwing")
    arguments.add_argument("--seed", type=int, default=1)
    options = arguments.parse_args()
    generator = random.Random(options.seed)
    watched.SENDER, watched.LISTENER = "lapwing-kills-a", "lapwing-kills-b"
    watched.build()
    lost, repeated, closed, slowest, written, last = 0, 0, 0, 0.0, 0, {}
    try:
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            store = folder / "store"
            traffic = watched.Traffic(folder, options.kills * 5, options.seed, pause=2)
            for number in range(options.kills):
                command = ["ip", "netns", "exec", watched.LISTENER, options.lapwing, "monitor", "--interface", watched.CABLE,
                           "--store", store, "--format", "jsonl"]
                process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(generator.uniform(0.0, 3.0))
                # Before the first run has made it there is no store.
                before, _, _ = stored(options.lapwing, store) if (store / "lapwing.db").exists() else ({}, 0, 0)
                if process.poll() is not None:
                    sys.exit(f"run {number} ended by itself with status {process.returncode}")
                process.kill()
                process.wait()
                if not (store / "lapwing.db").exists():
                    continue
                after, again, took = stored(options.lapwing, store)
                slowest = max(slowest, took)
                if after is None:
                    closed += 1
                    print(f"run {number}: the store does not open: {again}", flush=True)
                    continue
                repeated += again
                known = last | (before or {})
                lost += sum(after.get(alert, 0) < revision for alert, revision in known.items())
                written, last = len(known), after
                print(f"\r{number + 1} kills, {len(after)} alerts", end="", file=sys.stderr, flush=True)
            traffic.stop()
    finally:
        watched.clean()
    print(f"\n{options.kills} kills, {len(last)} alerts, {written} of them read before the last kill: {lost} lost, {repeated} repeated; "
          f"the store did not open {closed} times, and took {slowest:.0f} ms at most with the query")
    sys.exit(1 if lost or repeated or closed or not last else 0)


if __name__ == "__main__":
    main()
