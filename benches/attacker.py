#!/usr/bin/env python3
"""Sends an attack every few seconds, each from an address of its own: port scans and sweeps for open Telnet, in turns.

    ip netns exec NAMESPACE benches/attacker.py INTERFACE SECONDS [PAUSE]

Writes both sides of every attempt itself (SYN, and the target's reset), so nobody has to answer; needs `cap_net_raw`. Prints
one line of JSON for each attack: number, kind, address, begin and end on the monotonic clock, and what kept it from being sent.
"""

import json
import socket
import struct
import sys
import time

from spoofed_flood import checksum

TARGET = "192.168.77.2"
SYN, RESET = 0x02, 0x14
PORTS = range(20, 140)
TELNET = 23


def mac(address):
    return b"\x02\x00" + socket.inet_aton(address)


def segment(source, source_port, target, target_port, flags):
    """An Ethernet frame with a TCP segment without content."""
    one, other = socket.inet_aton(source), socket.inet_aton(target)
    tcp = struct.pack(">HHIIBBHHH", source_port, target_port, 1, 0 if flags == SYN else 2, 0x50, flags, 1024, 0, 0)
    pseudo = one + other + struct.pack(">BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack(">H", checksum(pseudo + tcp)) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 7, 0x4000, 64, 6, 0) + one + other
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return mac(target) + mac(source) + b"\x08\x00" + ip + tcp


def attempts(number, address):
    """Target and port of each attempt, and the kind of alert that they make together."""
    if number % 2 == 0:
        return "port-scan", [(TARGET, port) for port in PORTS]
    return "network-scan", [(f"192.168.{78 + host // 200}.{1 + host % 200}", TELNET) for host in range(120)]


def attack(interface, number):
    address = f"10.{100 + number // 60_000}.{number // 250 % 240}.{1 + number % 250}"
    kind, targets = attempts(number, address)
    begun, failed = time.monotonic(), None
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as wire:
            wire.bind((interface, 0))
            for place, (target, port) in enumerate(targets):
                own = 40_000 + place
                wire.send(segment(address, own, target, port, SYN))
                wire.send(segment(target, port, address, own, RESET))
                time.sleep(0.005)
    except OSError as error:
        failed = str(error)
    print(json.dumps({"number": number, "kind": kind, "address": address, "begun": begun, "ended": time.monotonic(),
                      "failed": failed}), flush=True)


def main():
    interface, seconds = sys.argv[1], float(sys.argv[2])
    pause = float(sys.argv[3]) if len(sys.argv) > 3 else 10.0
    begun = time.monotonic()
    for number in range(int(seconds / pause)):
        time.sleep(max(0.0, begun + number * pause - time.monotonic()))
        attack(interface, number)


if __name__ == "__main__":
    main()
