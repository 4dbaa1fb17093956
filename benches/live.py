#!/usr/bin/env python3
"""Live capture at the highest rate that a veth pair carries, beside tcpdump.

    benches/live.py --capture big.pcap [--lapwing target/release/lapwing] [--loops 1] [--rounds 3] [--rings 2] [--force-drops]

Makes two network namespaces with a cable between them (root, iproute2, tcpreplay, tcpdump), replays the capture as fast as
the sender can, and listens on the other side, in turns: nobody, `lapwing monitor`, `tcpdump -w /dev/null`. Prints for each
turn what was sent, seen and dropped, the listener's CPU per packet that it saw, and its peak memory. Sender and listener
share the machine, so the rate is that of both.

With --rings N a monitor with so many rings has its turn too. With --force-drops two more listen: one with the smallest ring, one that is stopped (SIGSTOP) for a
second while it is sent to; both must lose packets and say how many. Fails if a packet was neither seen nor counted as
dropped, if memory goes beyond 150 MB, or if a listener does not end well. How many alerts there are depends on the rate: what
counts as a flood does.
"""

import argparse
import collections
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import watched
from memory import rss_anon
from watched import CABLE, build, clean, shell

SENDER, LISTENER = watched.SENDER, watched.LISTENER = "lapwing-bench-a", "lapwing-bench-b"
MOST_MEMORY = 150e6
# Seconds into the sending at which a listener is stopped, and for how long.
STOPPED_AT, STOPPED_FOR = 1.0, 1.0

Listener = collections.namedtuple("Listener", "name command patterns stopped forced")
Turn = collections.namedtuple("Turn", "sent seconds seen dropped cpu peak alerts")


def packets_sent():
    return int(shell(f"ip netns exec {SENDER} cat /sys/class/net/{CABLE}/statistics/tx_packets"))


def send(capture, loops):
    """Frames sent, and in how many seconds, without the reading of the capture before."""
    before = packets_sent()
    said = shell(f"ip netns exec {SENDER} tcpreplay --topspeed --preload-pcap --loop {loops} --intf1 {CABLE} {capture}",
                 check=False)
    sent = packets_sent() - before
    found = re.search(r"Actual: .* sent in ([\d.]+) seconds", said)
    if not found:
        sys.exit(f"tcpreplay did not send:\n{said}")
    return sent, float(found.group(1))


def pause(process, sending):
    """Stops a process for a while once frames come."""
    before = packets_sent()
    while sending.is_set() and packets_sent() == before:
        time.sleep(0.05)
    time.sleep(STOPPED_AT)
    os.kill(process.pid, signal.SIGSTOP)
    time.sleep(STOPPED_FOR)
    os.kill(process.pid, signal.SIGCONT)


def measure(listener, options):
    peak, over, sending, printed = [0], threading.Event(), threading.Event(), []
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(["ip", "netns", "exec", LISTENER, *listener.command], stdout=output,
                                   stderr=subprocess.PIPE, text=True)

        def sample():
            while not over.wait(0.05):
                peak[0] = max(peak[0], rss_anon(process.pid))

        sending.set()
        threads = [threading.Thread(target=sample), threading.Thread(target=lambda: printed.append(process.stderr.read()))]
        if listener.stopped:
            threads.append(threading.Thread(target=pause, args=(process, sending)))
        for thread in threads:
            thread.start()
        time.sleep(2)
        sent, seconds = send(options.capture, options.loops)
        sending.clear()
        time.sleep(options.rest)
        os.kill(process.pid, signal.SIGINT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        over.set()
        for thread in threads:
            thread.join()
        if process.returncode:
            sys.exit(f"{listener.name} ended with status {process.returncode}:\n{printed[0]}")
        seen, dropped = (int(re.search(pattern, printed[0]).group(1)) for pattern in listener.patterns)
        output.seek(0)
        return Turn(sent, seconds, seen, dropped, usage.ru_utime + usage.ru_stime, peak[0], raised(output))


def raised(output):
    """How many alerts there are; each comes in several revisions."""
    return len({json.loads(line)["id"] for line in output if line.startswith("{")})


def listeners(options):
    def lapwing(name, *more, stopped=False, forced=False):
        command = [options.lapwing, "monitor", "--interface", CABLE, "--format", "jsonl", *more]
        return Listener(name, command, (rf"{CABLE}: (\d+) packets", rf"{CABLE}: \d+ packets, (\d+) dropped"), stopped, forced)

    yield lapwing("lapwing")
    yield Listener("tcpdump", ["tcpdump", "-i", CABLE, "-w", "/dev/null", "-B", "16384", "-Z", "root"],
                   (r"(\d+) packets captured", r"(\d+) packets dropped by kernel"), False, False)
    if options.rings > 1:
        yield lapwing(f"lapwing, {options.rings} rings", "--rings", str(options.rings))
    if options.force_drops:
        yield lapwing("lapwing, 1 MiB", "--buffer", "1", forced=True)
        yield lapwing("lapwing, stopped", stopped=True, forced=True)


def judge(listener, turn):
    """What is wrong with a turn, in words."""
    if listener.name.startswith("lapwing") and turn.sent != turn.seen + turn.dropped:
        yield f"{turn.sent - turn.seen - turn.dropped} packets were neither seen nor counted as dropped"
    if turn.peak > MOST_MEMORY:
        yield "too much memory"
    if listener.stopped and not turn.dropped:
        yield "nothing was dropped, so nothing was shown"


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--capture", required=True)
    arguments.add_argument("--lapwing", default="target/release/lapwing")
    arguments.add_argument("--loops", type=int, default=1, help="how often the capture is sent in a turn")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--rings", type=int, default=1, help="besides one ring, this many")
    arguments.add_argument("--force-drops", action="store_true")
    arguments.add_argument("--rest", type=float, default=2, help="seconds of silence before a listener is ended")
    options = arguments.parse_args()
    build()
    failed = False
    try:
        sent, seconds = send(options.capture, options.loops)
        print(f"{sent} frames to nobody: {sent / seconds / 1e3:.0f} thousand a second")
        print(f"{'listener':18}  {'sent':>9}  {'kpps':>6}  {'seen':>9}  {'dropped':>9}  {'ns CPU/packet':>13}  {'peak MB':>7}  alerts")
        for _ in range(options.rounds):
            for listener in listeners(options):
                turn = measure(listener, options)
                print(f"{listener.name:18}  {turn.sent:9}  {turn.sent / turn.seconds / 1e3:6.0f}  {turn.seen:9}  {turn.dropped:9}"
                      f"  {turn.cpu / max(turn.seen, 1) * 1e9:13.0f}  {turn.peak / 1e6:7.1f}  {turn.alerts:6}", flush=True)
                for wrong in judge(listener, turn):
                    failed = True
                    print(f"{listener.name}: {wrong}", flush=True)
    finally:
        clean()
    sys.exit(failed)


if __name__ == "__main__":
    main()
