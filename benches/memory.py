#!/usr/bin/env python3
"""Peak memory of a command: RssAnon of /proc/PID/status, sampled every 50 ms.

    benches/memory.py COMMAND ARGUMENT…        e.g. benches/memory.py target/release/lapwing scan big.pcap --format json

RssAnon is what the program allocated; pages of mapped files (the program itself) are the kernel's to take back. The last
line on standard error has the peak, the command's exit status is this script's. Linux only, no other package.
"""

import os
import subprocess
import sys
import threading
import time

INTERVAL = 0.05  # seconds


class Run:
    """One run of a command: exit status, seconds, CPU seconds, peak RssAnon and peak RSS in bytes."""

    def __init__(self, command, interval=INTERVAL, limit=None, **streams):
        """`limit`: seconds after which the command is killed, so that its exit status is negative."""
        self.rss_anon, self.samples = 0, 0
        begun = time.perf_counter()
        process = subprocess.Popen(command, **streams)
        over = threading.Event()
        sampler = threading.Thread(target=self._sample, args=(process, interval, over))
        killer = threading.Timer(limit, process.kill) if limit else None
        if killer:
            killer.start()
        sampler.start()
        # Reads what the command prints where it was asked for, so that it never waits for a full pipe.
        readers = [threading.Thread(target=self._drain, args=(name, pipe)) for name, pipe in
                   (("output", process.stdout), ("errors", process.stderr)) if pipe]
        for reader in readers:
            reader.start()
        _, status, usage = os.wait4(process.pid, 0)
        if killer:
            killer.cancel()
        over.set()
        for thread in [sampler, *readers]:
            thread.join()
        process.returncode = os.waitstatus_to_exitcode(status)
        self.status = process.returncode
        self.seconds = time.perf_counter() - begun
        self.cpu = usage.ru_utime + usage.ru_stime
        self.rss = usage.ru_maxrss * 1024

    def _drain(self, name, pipe):
        setattr(self, name, pipe.read())

    def _sample(self, process, interval, over):
        while not over.is_set():
            self.rss_anon = max(self.rss_anon, rss_anon(process.pid))
            self.samples += 1
            over.wait(interval)


def rss_anon(pid):
    """Bytes of anonymous memory that the process holds now; 0 once it is gone."""
    try:
        with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
            for line in status:
                if line.startswith("RssAnon:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    run = Run(sys.argv[1:])
    print(f"peak RssAnon {run.rss_anon / 1e6:.1f} MB in {run.samples} samples; peak RSS {run.rss / 1e6:.1f} MB; "
          f"{run.seconds:.2f} s, {run.cpu:.2f} s of CPU; exit status {run.status}", file=sys.stderr)
    sys.exit(run.status if run.status >= 0 else 128 - run.status)


if __name__ == "__main__":
    main()
