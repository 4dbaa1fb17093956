#!/usr/bin/env python3
"""Live capture at the highest rate that a veth pair carries, beside tcpdump.

    benches/live.py --capture big.pcap [--lapwing target/release/lapwing] [--loops 5] [--rounds 3]

Makes two network namespaces with a cable between them (root, iproute2, tcpreplay, tcpdump), replays the capture as fast as
the sender can, and listens on the other side: with `lapwing monitor`, and with `tcpdump -w /dev/null`, in turns. Prints for
each round what was sent, seen and dropped, the listener's CPU per packet that it saw, and its peak memory. Fails if Lapwing
loses a packet without counting it. Sender and listener share the machine, so the rate is that of both.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import threading
import time

from memory import rss_anon

SENDER, LISTENER, CABLE = "lapwing-bench-a", "lapwing-bench-b", "cable"


def shell(line, check=True):
    return subprocess.run(line, shell=True, check=check, capture_output=True, text=True).stdout


def clean():
    for name in (SENDER, LISTENER):
        shell(f"ip netns del {name}", check=False)


def build():
    clean()
    for name in (SENDER, LISTENER):
        shell(f"ip netns add {name}")
        # So that nothing is sent but the capture.
        for which in ("all", "default"):
            shell(f"ip netns exec {name} sh -c 'echo 1 > /proc/sys/net/ipv6/conf/{which}/disable_ipv6'")
    shell(f"ip link add {CABLE} netns {SENDER} type veth peer name {CABLE} netns {LISTENER}")
    for name in (SENDER, LISTENER):
        # Frames of a capture may be longer than a cable's 1500 bytes.
        shell(f"ip -n {name} link set {CABLE} mtu 65535 up")


def packets_sent():
    return int(shell(f"ip netns exec {SENDER} cat /sys/class/net/{CABLE}/statistics/tx_packets"))


def measure(command, capture, loops):
    """What the listener printed, frames sent, seconds of sending, its CPU seconds and peak RssAnon."""
    process = subprocess.Popen(["ip", "netns", "exec", LISTENER, *command], stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, text=True)
    peak, over, printed = [0], threading.Event(), []

    def sample():
        while not over.wait(0.05):
            peak[0] = max(peak[0], rss_anon(process.pid))

    threads = [threading.Thread(target=sample), threading.Thread(target=lambda: printed.append(process.stderr.read()))]
    for thread in threads:
        thread.start()
    time.sleep(3)
    before, begun = packets_sent(), time.perf_counter()
    shell(f"ip netns exec {SENDER} tcpreplay --topspeed --preload-pcap --loop {loops} --intf1 {CABLE} {capture}", check=False)
    seconds, count = time.perf_counter() - begun, packets_sent() - before
    time.sleep(2)
    os.kill(process.pid, signal.SIGINT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    over.set()
    for thread in threads:
        thread.join()
    if process.returncode:
        sys.exit(f"{command[0]} ended with status {process.returncode}:\n{printed[0]}")
    return printed[0], count, seconds, usage.ru_utime + usage.ru_stime, peak[0]


def counted(printed, *patterns):
    return [int(re.search(pattern, printed).group(1)) for pattern in patterns]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--capture", required=True)
    arguments.add_argument("--lapwing", default="target/release/lapwing")
    arguments.add_argument("--loops", type=int, default=5, help="how often the capture is sent in a round")
    arguments.add_argument("--rounds", type=int, default=3)
    options = arguments.parse_args()
    listeners = {
        "lapwing": ([options.lapwing, "monitor", "--interface", CABLE, "--format", "jsonl"],
                    (rf"{CABLE}: (\d+) packets", rf"{CABLE}: \d+ packets, (\d+) dropped")),
        "tcpdump": (["tcpdump", "-i", CABLE, "-w", "/dev/null", "-B", "16384", "-Z", "root"],
                    (r"(\d+) packets captured", r"(\d+) packets dropped by kernel")),
    }
    build()
    unaccounted = 0
    try:
        print(f"{'listener':8}  {'sent':>9}  {'kpps':>6}  {'seen':>9}  {'dropped':>9}  {'ns CPU/packet':>13}  {'peak MB':>7}")
        for _ in range(options.rounds):
            for name, (command, patterns) in listeners.items():
                printed, count, seconds, cpu, peak = measure(command, options.capture, options.loops)
                seen, dropped = counted(printed, *patterns)
                if name == "lapwing":
                    unaccounted += abs(count - seen - dropped)
                print(f"{name:8}  {count:9}  {count / seconds / 1e3:6.0f}  {seen:9}  {dropped:9}  {cpu / max(seen, 1) * 1e9:13.0f}"
                      f"  {peak / 1e6:7.1f}", flush=True)
    finally:
        clean()
    if unaccounted:
        sys.exit(f"{unaccounted} packets were neither seen nor counted as dropped")


if __name__ == "__main__":
    main()
