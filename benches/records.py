#!/usr/bin/env python3
"""Records per second of Lapwing's log reading beside bare readings of the same files, in interleaved runs on one core.

    cargo build --release
    LAPWING_DATA=FOLDER benches/records.py [--rounds 5] [--rows 1000000] [--lapwing F]

LAPWING_DATA names the folder with connlog/. A real conn.log (connlog/iot23-34-1-first14h, whose labels are cut off) is
repeated with later times until it has so many rows, as Zeek's text and as JSON; a real EVE log likewise. They are made once
below target/bench. Each round runs every command once, in turn, from the page cache; CPU time is user + system of the child.
Printed are medians. `awk` and `cut` take one column, as `zeek-cut` does; from JSON a bare `awk` only counts lines with an address.
`lapwing flows` reads, orders and writes every record anew; `lapwing scan` runs all detectors on them, and how many records it
read is checked. The row `reading` is the share of the CPU time that --timings gives to the step that reads and parses.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--lapwing", type=pathlib.Path, default=ROOT / "target" / "release" / "lapwing")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "target" / "bench")
    return parser.parse_args()


def text_of(path):
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dc", path], check=True, capture_output=True, text=True).stdout
    return path.read_text()


def source(folder):
    """Header and rows of a real conn.log, without the columns that label tools joined to the last one."""
    lines = text_of(folder / "connlog/iot23-34-1-first14h/conn.log.labeled.zst").splitlines()
    fields = next(line for line in lines if line.startswith("#fields"))
    names = fields.split("\t")[1:]
    names[-1] = names[-1].split()[0]
    rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
    for row in rows:
        row[-1] = row[-1].split()[0]
    header = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
    return header + ["#fields\t" + "\t".join(names)], names, rows


COUNTS = {"id.orig_p", "id.resp_p", "missed_bytes", "orig_bytes", "resp_bytes", "orig_pkts", "resp_pkts", "orig_ip_bytes", "resp_ip_bytes"}


def json_row(names, row):
    record = {}
    for name, value in zip(names, row):
        if value not in ("-", "(empty)"):
            number = int if name in COUNTS else float if name in ("ts", "duration") else str
            record[name] = {"T": True, "F": False}[value] if name.startswith("local_") else number(value)
    return json.dumps(record, separators=(",", ":"))


STEP = re.compile(r"^(\w+)\s+(\d+)\s+.*?([\d.]+)\s+\S+$", re.M)


def make(options, folder):
    text, as_json, eve = (options.work / name for name in ("conn.log", "conn.json", "eve.json"))
    options.work.mkdir(parents=True, exist_ok=True)
    if not (text.exists() and as_json.exists()):
        header, names, rows = source(folder)
        time_column = names.index("ts")
        times = [float(row[time_column]) for row in rows]
        span = max(times) - min(times) + 60
        with open(text, "w") as plain, open(as_json, "w") as lines:
            plain.write("\n".join(header) + "\n")
            for number in range(options.rows):
                repeat, place = divmod(number, len(rows))
                row = list(rows[place])
                row[time_column] = f"{times[place] + repeat * span:.6f}"
                plain.write("\t".join(row) + "\n")
                lines.write(json_row(names, row) + "\n")
    if not eve.exists():
        events = [json.loads(line) for line in text_of(folder / "connlog/slips-test6-malicious.suricata.json.zst").splitlines()]
        flows = [event for event in events if event.get("event_type") == "flow"]
        with open(eve, "w") as lines:
            for number in range(options.rows // 2):
                repeat, place = divmod(number, len(flows))
                event = dict(flows[place], flow=dict(flows[place]["flow"]))
                for name in ("start", "end"):
                    # A day later each time: the year carries what does not fit.
                    date = event["flow"][name]
                    event["flow"][name] = f"{2021 + repeat // 336}-{1 + repeat // 28 % 12:02}-{1 + repeat % 28:02}{date[10:]}"
                lines.write(json.dumps(event, separators=(",", ":")) + "\n")
    return text, as_json, eve


def run(command):
    """CPU seconds of one run, and what it said on standard error."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1):
        sys.exit(f"exit status {process.returncode}: {' '.join(map(str, command))}\n{said}")
    return usage.ru_utime + usage.ru_stime, said


def main():
    options = arguments()
    data = os.environ.get("LAPWING_DATA")
    if not data:
        sys.exit("LAPWING_DATA names no folder")
    text, as_json, eve = make(options, pathlib.Path(data))
    awk = shutil.which("mawk") and "mawk" or "awk"
    pin = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    lapwing = str(options.lapwing)
    commands = []
    for name, log in (("conn.log", text), ("conn.log as JSON", as_json), ("EVE", eve)):
        rows = sum(1 for line in open(log) if not line.startswith("#"))
        if log == text:
            commands.append((name, rows, f"{awk} -F'\\t' '{{print $3}}'", [*pin, awk, "-F\t", "{print $3}", log]))
            commands.append((name, rows, "cut -f3 (zeek-cut-like)", [*pin, "cut", "-f3", log]))
        else:
            commands.append((name, rows, f"{awk} '/_ip|id[.]orig_h/ {{n++}}'", [*pin, awk, "/_ip|id[.]orig_h/ {n++} END {print n}", log]))
        flows = [lapwing, "flows", log, "--format", "zeek", "--output", os.devnull, "--threads", "1", "--timings"]
        scan = [lapwing, "scan", log, "--format", "jsonl", "--output", os.devnull, "--threads", "1", "--timings"]
        commands.append((name, rows, "lapwing flows", [*pin, *flows]))
        commands.append((name, rows, "lapwing scan", [*pin, *scan]))
    seconds = {index: [] for index in range(len(commands))}
    reading = {}
    for _ in range(options.rounds):
        for index, (log, rows, name, command) in enumerate(commands):
            spent, said = run(command)
            seconds[index].append(spent)
            steps = {step: (int(count), float(each)) for step, count, each in STEP.findall(said)}
            if name == "lapwing scan":
                assert steps["log"][0] == rows, f"{log}: {steps['log'][0]} of {rows} records"
                total = sum(count * each for count, each in steps.values())
                reading.setdefault(log, []).append(rows * steps["log"][1] / total)
    print("| log | rows | what | CPU s | records/s | ns/record |\n|---|---|---|---|---|---|")
    for index, (log, rows, name, _) in enumerate(commands):
        spent = statistics.median(seconds[index])
        print(f"| {log} | {rows:,} | {name} | {spent:.2f} | {rows / spent:,.0f} | {spent / rows * 1e9:,.0f} |")
        if name == "lapwing scan" and log in reading:
            spent *= statistics.median(reading[log])
            print(f"| {log} | {rows:,} | of which reading | {spent:.2f} | {rows / spent:,.0f} | {spent / rows * 1e9:,.0f} |")


if __name__ == "__main__":
    main()
