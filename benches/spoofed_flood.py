#!/usr/bin/env python3
"""Writes a capture of a SYN flood from a million invented sources against one victim, with a little ordinary traffic.

    benches/spoofed_flood.py OUT.pcap [SOURCES=1000000] [SECONDS=60] [SEED=1]

Each source sends one SYN to port 443 of 192.168.1.10, evenly over the time; no source repeats. Twice a second a device of
the same network fetches a page from another server: flows that must survive the flood. Written for Python 3.9+, no package.
"""

import random
import struct
import sys

VICTIM = bytes((192, 168, 1, 10))
SERVER = bytes((198, 51, 100, 7))
START = 1_700_000_000
SYN, ACK, PSH, FIN = 0x02, 0x10, 0x08, 0x01


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(source, target, ports, numbers, flags, payload=b""):
    """An Ethernet frame with one TCP segment; `numbers` are sequence and acknowledgment."""
    tcp = struct.pack("!HHIIBBHHH", *ports, *numbers, 5 << 4, flags, 64_240, 0, 0) + payload
    pseudo = source + target + struct.pack("!BBH", 0, 6, len(tcp))
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0, source, target)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return b"\x02\0\0\0\0\x01\x02\0\0\0\0\x02\x08\0" + header + tcp


def flood(sources, seconds, numbers):
    """(microseconds, frame) of each SYN; sources come from an additive walk through the 32-bit space, so none repeats."""
    address = numbers.getrandbits(32)
    for index in range(sources):
        while True:
            address = (address + 0x9E3779B1) & 0xFFFFFFFF
            first = address >> 24
            if 0 < first < 224 and first not in (10, 127, 172, 192):
                break
        ports = (numbers.randrange(1_024, 65_536), 443)
        frame = segment(struct.pack("!I", address), VICTIM, ports, (numbers.getrandbits(32), 0), SYN)
        yield index * seconds * 1_000_000 // sources, frame


def ordinary(seconds):
    """(microseconds, frame) of a page fetched twice a second, each a whole connection."""
    for index in range(seconds * 2):
        device, ports = bytes((192, 168, 1, 20 + index % 10)), (40_000 + index, 80)
        back = ports[::-1]
        request, page = b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n" + b"x" * 400
        asked, answered = 1 + len(request), 1 + len(page)
        exchange = [
            (device, SERVER, ports, (0, 0), SYN, b""),
            (SERVER, device, back, (0, 1), SYN | ACK, b""),
            (device, SERVER, ports, (1, 1), ACK, b""),
            (device, SERVER, ports, (1, 1), PSH | ACK, request),
            (SERVER, device, back, (1, asked), PSH | ACK, page),
            (device, SERVER, ports, (asked, answered), FIN | ACK, b""),
            (SERVER, device, back, (answered, asked + 1), FIN | ACK, b""),
            (device, SERVER, ports, (asked + 1, answered + 1), ACK, b""),
        ]
        for step, parts in enumerate(exchange):
            yield index * 500_000 + step * 10_000, segment(*parts)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sources, seconds, seed = (int(sys.argv[i]) if len(sys.argv) > i else default
                              for i, default in ((2, 1_000_000), (3, 60), (4, 1)))
    written = 0
    calm = ordinary(seconds)
    waiting = next(calm, None)
    with open(sys.argv[1], "wb", buffering=1 << 20) as output:
        output.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))

        def write(microseconds, frame):
            when = divmod(microseconds, 1_000_000)
            output.write(struct.pack("<IIII", START + when[0], when[1], len(frame), len(frame)) + frame)

        for microseconds, frame in flood(sources, seconds, random.Random(seed)):
            while waiting and waiting[0] <= microseconds:
                write(*waiting)
                written += 1
                waiting = next(calm, None)
            write(microseconds, frame)
            written += 1
    print(f"{written} packets", file=sys.stderr)


if __name__ == "__main__":
    main()
