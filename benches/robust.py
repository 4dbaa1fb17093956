#!/usr/bin/env python3
"""Scans every sample capture and holds it against capinfos: exit status, packet count, peak memory.

    cargo build --release
    benches/robust.py [DATA]          DATA defaults to LAPWING_DATA; its folders robust, pcap and zeek are read

A capture passes if scan ends with 0 (2 only where capinfos too says that it is no capture, or one of a format other than
pcap and pcapng), did not panic, counts the packets that capinfos counts wherever that ends with 0, and stays under the
memory cap. Exit status 1 if any failed. Needs capinfos (Debian package wireshark-common).
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from memory import Run

ROOT = pathlib.Path(__file__).resolve().parent.parent
FOLDERS = ("robust", "pcap", "zeek")
NO_CAPTURES = {".out", ".log", ".csv", ".json", ".md", ".txt"}
CAP = 150_000_000  # bytes of RssAnon
TIMEOUT = 120  # seconds for one capture
READ = ("pcap", "nsecpcap", "pcapng")  # capinfos's names of the formats that Lapwing reads; modified pcaps end in "pcap"


def captures(data):
    for folder in FOLDERS:
        for path in sorted((data / folder).rglob("*")):
            plain = path.with_suffix("") if path.suffix in (".zst", ".gz") else path
            if path.is_file() and plain.suffix not in NO_CAPTURES:
                yield path


def capinfos(path):
    """Packets by capinfos where it ends with 0, else None; and the file's type by it, None where it is no capture."""
    def column(option):
        ran = subprocess.run(["capinfos", "-T", "-r", "-M", option, path], capture_output=True, text=True, errors="replace")
        cells = ran.stdout.rstrip("\n").rsplit("\t", 1)
        return ran.returncode, cells[1] if len(cells) == 2 else None

    status, packets = column("-c")
    return (int(packets) if status == 0 and packets else None), column("-t")[1]


def check(lapwing, path):
    """What is wrong with the scan of `path`, as a list of sentences, and its peak memory."""
    command = [lapwing, "scan", path, "--format", "json", "--threads", "1"]
    run = Run(command, interval=0.01, limit=TIMEOUT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    expected, kind = capinfos(path)
    wrong = []
    errors = run.errors.decode(errors="replace").strip()
    last = errors.splitlines()[-1] if errors else ""
    if "panicked" in errors or run.status not in (0, 2):
        wrong.append(f"exit status {run.status}: {last}")
    elif run.status == 2 and kind is not None and kind.endswith(READ):
        wrong.append(f"exit status 2, but capinfos calls it {kind}: {last}")
    elif run.status == 0:
        try:
            found = json.loads(run.output)["summary"]["packets"]
            if expected is not None and found != expected:
                wrong.append(f"{found} packets, capinfos counts {expected}")
        except (ValueError, KeyError) as error:
            wrong.append(f"no summary in what it printed: {error!r}")
    # Resident memory bounds RssAnon from above, and unlike samples misses nothing of a short run.
    if run.rss > CAP:
        wrong.append(f"peak RSS {run.rss / 1e6:.0f} MB (RssAnon sampled: {run.rss_anon / 1e6:.0f} MB)")
    return path, wrong, run, expected is not None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=pathlib.Path, default=os.environ.get("LAPWING_DATA"))
    parser.add_argument("--lapwing", type=pathlib.Path, default=ROOT / "target" / "release" / "lapwing")
    options = parser.parse_args()
    if not options.data or not pathlib.Path(options.data).is_dir():
        sys.exit("skipped: LAPWING_DATA names no folder of sample captures")
    if not shutil.which("capinfos"):
        sys.exit("capinfos is not installed (Debian package wireshark-common)")
    data = pathlib.Path(options.data)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = list(pool.map(lambda path: check(options.lapwing, path), captures(data)))
    for path, wrong, _, _ in results:
        for sentence in wrong:
            print(f"{path.relative_to(data)}: {sentence}")
    failed = sum(bool(wrong) for _, wrong, _, _ in results)
    refused = sum(run.status == 2 for _, _, run, _ in results)
    compared = sum(known for _, _, _, known in results)
    peak = max(results, key=lambda result: result[2].rss)
    slowest = max(results, key=lambda result: result[2].cpu)
    print(f"{len(results)} captures: {len(results) - failed} passed, {failed} failed; {compared} counted by capinfos too, "
          f"{refused} refused as no capture; peak RSS {peak[2].rss / 1e6:.0f} MB ({peak[0].name}), "
          f"most CPU time {slowest[2].cpu:.2f} s ({slowest[0].name})")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
