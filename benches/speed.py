#!/usr/bin/env python3
"""CPU time of Lapwing beside softflowd and tcpdump on one large capture, in interleaved runs.

    cargo build --release
    LAPWING_BENCH=../shared/bench benches/speed.py [--rounds 5] [--capture F] [--slice F] [--markdown]

LAPWING_BENCH names the folder with make_capture.py and bare_loop.c. The capture is made once (1,050 MB, seed 1) below
target/bench, and so is the slice that the model is trained on (100 MB, seed 2: other addresses, other packets of the mix).
Each round runs every command once, in turn, reading from the page cache; CPU time is user + system of the child process
(getrusage). Printed are medians, and medians of the ratios within a round: absolute numbers drift with the machine, ratios
of neighbouring runs much less. Needs softflowd and tcpdump (Debian packages), gcc for bare_loop, and make_capture's tools.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--capture", type=pathlib.Path, help="an existing capture instead of the one that is made")
    parser.add_argument("--slice", type=pathlib.Path, help="an existing capture to train on")
    parser.add_argument("--lapwing", type=pathlib.Path, default=ROOT / "target" / "release" / "lapwing")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target" / "bench")
    parser.add_argument("--markdown", action="store_true", help="prints the table as docs/scorecard.md has it")
    return parser.parse_args()


def make_capture(path, megabytes, seed, bench):
    if not path.exists():
        print(f"making {path.name}", file=sys.stderr)
        partial = path.with_suffix(".partial")
        subprocess.run([sys.executable, bench / "make_capture.py", partial, str(megabytes), str(seed)], check=True)
        partial.rename(path)
    return path


def commands(options, capture, model, bench):
    """(name, command) of what is compared; those whose program is missing are left out with a word."""
    lapwing, null = str(options.lapwing), os.devnull
    scan = [lapwing, "scan", capture, "--model", model, "--format", "jsonl", "--output", null]
    found = [
        ("softflowd -r", ["softflowd", "-r", capture, "-c", "none", "-p", options.work / "softflowd.pid"]),
        ("tcpdump -r F -w /dev/null", ["tcpdump", "-r", capture, "-w", null]),
        ("lapwing flows", [lapwing, "flows", capture, "--threads", "1", "--format", "zeek", "--output", null]),
        ("lapwing scan --model", [*scan, "--threads", "1"]),
        ("lapwing scan --model, 2 threads", [*scan, "--threads", "2"]),
    ]
    loop = options.work / "bare_loop"
    source = bench / "bare_loop.c" if bench else None
    if source and source.exists() and shutil.which("gcc"):
        subprocess.run(["gcc", "-O3", "-march=native", "-w", "-o", loop, source, "-lm"], check=True)
        found.insert(2, ("bare loop", [loop, "batch", capture, "chunk"]))
    for name, command in list(found):
        if not shutil.which(command[0]):
            print(f"left out, not installed: {name}", file=sys.stderr)
            found.remove((name, command))
    return found


def run(command):
    """Wall and CPU seconds of one run; what it prints is thrown away."""
    begun = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - begun
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"exit status {process.returncode}: {' '.join(map(str, command))}")
    return wall, usage.ru_utime + usage.ru_stime


def packets(capture):
    listed = subprocess.run(["capinfos", "-T", "-r", "-c", "-M", capture], capture_output=True, text=True, check=True)
    return int(listed.stdout.split("\t")[1])


def main():
    options = arguments()
    bench = os.environ.get("LAPWING_BENCH")
    bench = pathlib.Path(bench).resolve() if bench else None
    if not bench and not (options.capture and options.slice):
        sys.exit("LAPWING_BENCH names no folder with make_capture.py, and --capture and --slice are not both given")
    options.work.mkdir(parents=True, exist_ok=True)
    capture = options.capture or make_capture(options.work / "mixed.pcap", 1_050, 1, bench)
    trained_on = options.slice or make_capture(options.work / "slice.pcap", 100, 2, bench)
    model = options.work / "slice.lapwing"
    subprocess.run([options.lapwing, "train", trained_on, "--output", model, "--force"], check=True,
                   stdout=subprocess.DEVNULL)
    compared = commands(options, capture, model, bench)
    count = packets(capture)

    load = os.getloadavg()[0]
    times = {name: [] for name, _ in compared}
    for number in range(-1, options.rounds):  # the first, uncounted round warms the page cache
        for name, command in compared:
            measured = run(command)
            if number >= 0:
                times[name].append(measured)
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)

    def ratio(name, other, column):
        if other not in times:
            return float("nan")
        return statistics.median(a[column] / b[column] for a, b in zip(times[name], times[other]))

    print(f"{count} packets, {capture.stat().st_size / 1e6:.0f} MB, {options.rounds} rounds, load {load:.1f} before the first")
    row = "| {} | {} | {} | {} | {} | {} |" if options.markdown else "{:34} {:>8} {:>8} {:>10} {:>12} {:>10}"
    print(row.format("command", "CPU s", "wall s", "ns/packet", "× softflowd", "× tcpdump"))
    if options.markdown:
        print("|---|--:|--:|--:|--:|--:|")
    for name, _ in compared:
        wall, cpu = (statistics.median(column) for column in zip(*times[name]))
        print(row.format(name, f"{cpu:.2f}", f"{wall:.2f}", f"{cpu / count * 1e9:.0f}",
                         f"{ratio(name, 'softflowd -r', 1):.2f}", f"{ratio(name, 'tcpdump -r F -w /dev/null', 1):.2f}"))
    two = ratio("lapwing scan --model, 2 threads", "lapwing scan --model", 0)
    print(f"\nwall time of scan with two threads: {two:.2f} × that with one")


if __name__ == "__main__":
    main()
