#!/usr/bin/env python3
"""Writes captures of many devices: a week of a calm fleet, or a crowd under a flood.

    benches/fleet.py week OUT.pcap [DEVICES=200] [DAYS=7] [SEED=1]
    benches/fleet.py crowd OUT.pcap [DEVICES=10000] [SOURCES=300000] [SEED=1]

week: every device asks its resolver and calls its cloud over TLS every quarter of an hour, give or take a tenth, asks the
time every 34 minutes, and is asked for by ARP; cameras also send a clip now and then by day. On the last day one device
comes for the first time, one calls a server nobody ever called, one tries 300 ports of another.
crowd: every device speaks by ARP and fetches four pages within ten minutes, while a SYN flood from invented sources hits a
server; in the middle of it one device tries 300 ports of another and one guesses passwords over telnet.

What was done on purpose is printed. Checksums of TCP and UDP are left zero. Written for Python 3.9+, no package.
"""

import heapq
import random
import struct
import sys

START = 1_700_006_400  # a midnight, UTC
SYN, ACK, PSH, FIN, RST = 0x02, 0x10, 0x08, 0x01, 0x04
# Makers' prefixes, as IEEE assigned them.
MAKERS = [bytes.fromhex(prefix) for prefix in ("b827eb", "3c8d20", "50c7bf", "ecfabc", "001788", "18b430")]
ROUTER_MAC, ROUTER = bytes.fromhex("50c7bf000001"), bytes((10, 1, 255, 254))
RESOLVER = ROUTER
TIME_SERVER = bytes((192, 0, 2, 123))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Device:
    def __init__(self, number, numbers):
        self.number = number
        self.address = bytes((10, 1, number // 250, 1 + number % 250))
        self.mac = MAKERS[number % len(MAKERS)] + struct.pack("!I", number)[1:]
        maker = number % len(MAKERS)
        self.cloud = bytes((198, 51, 100, 10 + maker))
        self.is_camera = maker == 1
        self.port = 32_768 + numbers.randrange(20_000)

    def next_port(self):
        self.port = 32_768 + (self.port - 32_767) % 28_000
        return self.port


def frame(source_mac, target_mac, source, target, protocol, body):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0x4000, 64, protocol, 0, source, target)
    header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
    return target_mac + source_mac + b"\x08\0" + header + body


def tcp(ports, numbers, flags, payload=b""):
    return struct.pack("!HHIIBBHHH", *ports, *numbers, 5 << 4, flags, 64_240, 0, 0) + payload


def udp(ports, payload):
    return struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload


def arp(device, asked):
    body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + device.mac + device.address + bytes(6) + asked
    return b"\xff" * 6 + device.mac + b"\x08\x06" + body


def exchange(at, device, mac, target, port, asked, answered, segments=1):
    """A whole TCP connection: (microseconds, frame) of each packet."""
    ports = (device.next_port(), port)
    back = ports[::-1]
    out = lambda numbers, flags, payload=b"": frame(device.mac, mac, device.address, target, 6, tcp(ports, numbers, flags, payload))
    home = lambda numbers, flags, payload=b"": frame(mac, device.mac, target, device.address, 6, tcp(back, numbers, flags, payload))
    sent = 1
    yield at, out((0, 0), SYN)
    yield at + 20_000, home((0, 1), SYN | ACK)
    yield at + 20_200, out((1, 1), ACK)
    for segment in range(segments):
        yield at + 20_400 + segment * 900, out((sent, 1), PSH | ACK, b"\x17" * asked)
        sent += asked
    end = at + 21_000 + segments * 900
    yield end + 20_000, home((1, sent), PSH | ACK, b"\x17" * answered)
    yield end + 20_400, out((sent, 1 + answered), FIN | ACK)
    yield end + 40_400, home((1 + answered, sent + 1), FIN | ACK)
    yield end + 40_600, out((sent + 1, 2 + answered), ACK)


def lookup(at, device, numbers):
    ports = (device.next_port(), 53)
    question = struct.pack("!HHHHHH", numbers.getrandbits(16), 0x0100, 1, 0, 0, 0) + b"\x05cloud\x07example\0\0\1\0\1"
    yield at, frame(device.mac, ROUTER_MAC, device.address, RESOLVER, 17, udp(ports, question))
    answer = question[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + question[12:] + b"\xc0\x0c\0\1\0\1\0\0\1\x2c\0\4" + device.cloud
    yield at + 8_000, frame(ROUTER_MAC, device.mac, RESOLVER, device.address, 17, udp(ports[::-1], answer))


def clock(at, device):
    ports = (device.next_port(), 123)
    yield at, frame(device.mac, ROUTER_MAC, device.address, TIME_SERVER, 17, udp(ports, b"\x23" + bytes(47)))
    yield at + 30_000, frame(ROUTER_MAC, device.mac, TIME_SERVER, device.address, 17, udp(ports[::-1], b"\x24" + bytes(47)))


def scan(at, device, target, ports=300):
    for index in range(ports):
        pair = (50_000, 1 + index * 7)
        yield at + index * 20_000, frame(device.mac, target.mac, device.address, target.address, 6, tcp(pair, (1, 0), SYN))
        yield at + index * 20_000 + 300, frame(target.mac, device.mac, target.address, device.address, 6, tcp(pair[::-1], (0, 2), RST | ACK))


def guesses(at, device, target, tries=60):
    for index in range(tries):
        yield from exchange(at + index * 1_000_000, device, target.mac, target.address, 23, 20, 40)


def life(device, days, numbers, joins=0):
    """Everything a calm device does, in order of time."""
    waiting = []
    day = 86_400_000_000
    begin = joins if joins else numbers.randrange(900_000_000)
    heapq.heappush(waiting, (begin, "cloud"))
    heapq.heappush(waiting, (begin + numbers.randrange(2_000_000_000), "time"))
    heapq.heappush(waiting, (begin, "arp"))
    if device.is_camera:
        heapq.heappush(waiting, (begin + numbers.randrange(day // 8), "clip"))
    while waiting:
        at, what = heapq.heappop(waiting)
        if at >= days * day:
            continue
        if what == "cloud":
            yield from lookup(at, device, numbers)
            yield from exchange(at + 50_000, device, ROUTER_MAC, device.cloud, 443, 180 + numbers.randrange(60), 400 + numbers.randrange(200))
            again = 900_000_000 * (1 + numbers.uniform(-0.1, 0.1))
        elif what == "time":
            yield from clock(at, device)
            again = 2_048_000_000
        elif what == "arp":
            yield at, arp(device, ROUTER)
            again = 1_200_000_000 * (1 + numbers.uniform(-0.1, 0.1))
        else:
            if 6 <= at // 3_600_000_000 % 24 < 22:
                yield from exchange(at, device, ROUTER_MAC, device.cloud, 443, 1_300, 200, 40 + numbers.randrange(60))
            again = numbers.expovariate(1 / (day / 8))
        heapq.heappush(waiting, (at + int(again), what))


def ordered(events):
    """An exchange may overlap what comes next by a moment: puts events in order within a second."""
    waiting = []
    for order, event in enumerate(events):
        heapq.heappush(waiting, (event[0], order, event[1]))
        while waiting[0][0] < event[0] - 2_000_000:
            at, _, data = heapq.heappop(waiting)
            yield at, data
    while waiting:
        at, _, data = heapq.heappop(waiting)
        yield at, data


def week(devices, days, numbers):
    day = 86_400_000_000
    fleet = [Device(number, numbers) for number in range(devices)]
    newcomer = Device(devices, numbers)
    lives = [ordered(life(device, days, random.Random(numbers.getrandbits(32)))) for device in fleet]
    lives.append(ordered(life(newcomer, days, random.Random(numbers.getrandbits(32)), (days - 1) * day + 3_600_000_000)))
    stranger = (days - 1) * day + 30_000_000_000
    lives.append(exchange(stranger, fleet[5], ROUTER_MAC, bytes((203, 0, 113, 77)), 8_443, 300, 300))
    lives.append(ordered(scan(stranger + 1_000_000_000, fleet[9], fleet[12])))
    name = lambda device: ".".join(map(str, device.address))
    print(f"new device {name(newcomer)}; {name(fleet[5])} calls 203.0.113.77; {name(fleet[9])} scans {name(fleet[12])}", file=sys.stderr)
    yield from heapq.merge(*lives, key=lambda event: event[0])


def crowd(devices, sources, numbers):
    fleet = [Device(number, numbers) for number in range(devices)]
    span = 600_000_000

    def calm():
        events = []
        for device in fleet:
            at = numbers.randrange(span // 2)
            events.append((at, arp(device, ROUTER)))
            for page in range(4):
                events.extend(exchange(at + 1_000_000 + page * 60_000_000, device, ROUTER_MAC, device.cloud, 443, 200, 600))
        events.sort(key=lambda event: event[0])
        yield from events

    def flood():
        address, victim = numbers.getrandbits(32), bytes((10, 1, 255, 200))
        for index in range(sources):
            while True:
                address = (address + 0x9E3779B1) & 0xFFFFFFFF
                if 0 < address >> 24 < 224 and address >> 24 not in (10, 127, 172, 192):
                    break
            body = tcp((numbers.randrange(1_024, 65_536), 443), (numbers.getrandbits(32), 0), SYN)
            yield index * span // sources, frame(ROUTER_MAC, b"\x50\xc7\xbf\0\0\xc8", struct.pack("!I", address), victim, 6, body)

    name = lambda device: ".".join(map(str, device.address))
    print(f"flood of 10.1.255.200; {name(fleet[9])} scans {name(fleet[12])}; {name(fleet[20])} guesses at {name(fleet[21])}", file=sys.stderr)
    yield from heapq.merge(calm(), flood(), ordered(scan(300_000_000, fleet[9], fleet[12])),
                           ordered(guesses(320_000_000, fleet[20], fleet[21])), key=lambda event: event[0])


def main():
    kinds = {"week": (week, 200, 7, 1), "crowd": (crowd, 10_000, 300_000, 1)}
    if len(sys.argv) < 3 or sys.argv[1] not in kinds:
        sys.exit(__doc__)
    make, *defaults = kinds[sys.argv[1]]
    given = [int(text) for text in sys.argv[3:]]
    first, second, seed = given + defaults[len(given):]
    written = 0
    with open(sys.argv[2], "wb", buffering=1 << 20) as output:
        output.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))
        for microseconds, data in make(first, second, random.Random(seed)):
            seconds, rest = divmod(microseconds, 1_000_000)
            output.write(struct.pack("<IIII", START + seconds, rest, len(data), len(data)) + data)
            written += 1
    print(f"{written} packets", file=sys.stderr)


if __name__ == "__main__":
    main()
