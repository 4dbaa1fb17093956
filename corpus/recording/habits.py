"""What the devices of a home or a workshop do all day: each habit is a loop in its own thread, mostly asleep.

A habit gets the network, the device it plays, its own seeded random numbers and the time to stop. Real tools do the talking
(curl, mosquitto_pub, ping, snmpget, coap-client, ssh …); the two streams that no small Debian tool sends, RTP-like video and
SSDP, are sent from sockets opened inside the device.
"""

import random
import socket
import struct
import threading
import time

from . import services


class Household:
    """Runs habits until `seconds` are over; `now` below is seconds since the start."""

    def __init__(self, net, seconds, seed):
        self.net, self.until, self.seed, self.threads = net, time.monotonic() + seconds, seed, []

    def does(self, device, habit, *args, **options):
        chance = random.Random(f"{self.seed}-{device}-{habit.__name__}-{args}")

        def body():
            try:
                habit(self, device, chance, *args, **options)
            except (OSError, RuntimeError) as error:
                print(f"{device}: {habit.__name__}: {error}")

        self.threads.append(threading.Thread(target=body, daemon=True))

    def play(self):
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            thread.join(max(0.0, self.until - time.monotonic()) + 90)

    def over(self):
        return time.monotonic() >= self.until

    def sleep(self, seconds):
        """Sleeps, and says whether the day still goes on."""
        time.sleep(max(0.0, min(seconds, self.until - time.monotonic())))
        return not self.over()


def fetch(home, device, *urls, timeout=20):
    """Several pages over as many connections as a browser would open."""
    outputs = [part for url in urls for part in ("-o", "/dev/null", url)]
    return home.net.run(device, "curl", "-sk", "--parallel", "--parallel-max", 6, "-m", timeout, *outputs, timeout=timeout + 5)


def publishes(home, device, chance, broker, password, every, keepalive=60, jitter=0.05, user=None):
    """A sensor or plug: one long MQTT connection, one small reading every few seconds."""
    client = services.mqtt_publisher(home.net, device, broker, user or device, password, keepalive)
    while home.sleep(every * chance.uniform(1 - jitter, 1 + jitter)):
        reading = f'{{"value":{chance.uniform(18, 24):.2f},"up":{int(time.monotonic())}}}\n'
        client.stdin.write(reading.encode())
        client.stdin.flush()
    client.stdin.close()


def listens(home, device, chance, broker, password, topic="home/#"):
    home.net.start(device, "mosquitto_sub", "-h", broker, "-u", device, "-P", password, "-t", topic, log="mqttsub")
    while home.sleep(30):
        pass


def polls(home, device, chance, targets, every=30):
    """A hub or monitor asks every device in turn, those that are switched off too."""
    while not home.over():
        begun = time.monotonic()
        for kind, address in targets:
            if kind == "http":
                home.net.run(device, "curl", "-s", "-m", 3, "-o", "/dev/null", f"http://{address}/status.json", timeout=6)
            elif kind == "ping":
                home.net.run(device, "ping", "-n", "-c", 1, "-W", 1, address, timeout=4)
            elif kind == "snmp":
                home.net.run(device, "snmpget", "-v2c", "-c", "public", "-r", 0, "-t", 2, address, "1.3.6.1.2.1.1.3.0",
                             "1.3.6.1.2.1.1.5.0", timeout=5)
            elif kind == "coap":
                home.net.run(device, "coap-client-notls", "-B", 2, f"coap://{address}/time", timeout=5)
            elif kind == "tcp":
                host, port = address.split(":")
                home.net.run(device, "socat", "-u", "OPEN:/dev/null", f"TCP:{host}:{port},connect-timeout=2", timeout=5)
            if not home.sleep(chance.uniform(0.05, 0.3)):
                return
        if not home.sleep(every - (time.monotonic() - begun)):
            return


def browses(home, device, chance, sites, pause=(8, 90), assets=14, scheme="https"):
    """A person: a name looked up, a page with its images over parallel connections, then reading for a while."""
    while home.sleep(chance.uniform(*pause)):
        site = chance.choice(sites)
        pages = [f"{scheme}://{site}/page{chance.randrange(4)}.html"]
        pages += [f"{scheme}://{site}/asset{chance.randrange(assets)}.bin" for _ in range(chance.randrange(2, 9))]
        if chance.random() < 0.35:
            other = chance.choice(sites)
            pages += [f"{scheme}://{other}/asset{chance.randrange(assets)}.bin" for _ in range(3)]
        fetch(home, device, *pages)
        if chance.random() < 0.08:  # a typing mistake in the address bar
            home.net.run(device, "curl", "-sk", "-m", 5, "-o", "/dev/null", f"https://www.{site}m/", timeout=8)


def asks_for_updates(home, device, chance, url, every=300):
    while home.sleep(every * chance.uniform(0.9, 1.1)):
        fetch(home, device, url)


def uploads_clips(home, device, chance, url, pause=(60, 240), kilobytes=(150, 900)):
    """A camera that saw something move: one clip, sent to its maker's cloud."""
    clip = home.net.state / f"clip-{device}"
    while home.sleep(chance.uniform(*pause)):
        clip.write_bytes(chance.randbytes(chance.randrange(*kilobytes) * 1000))
        home.net.run(device, "curl", "-sk", "-m", 60, "--limit-rate", "400k", "-X", "POST", "-H", "Content-Type: video/mp4", "-H",
                     "Expect:", "-o", "/dev/null", "--data-binary", f"@{clip}", url, timeout=70)


def streams_video(home, device, chance, viewer, pause=(240, 500), seconds=(10, 25), per_second=30):
    """RTP-like live view: packets of 300 to 1,200 bytes to one UDP port, with a receiver report back every five seconds."""
    home.net.enter(device)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.bind(("", 5004))
    sequence = chance.randrange(1 << 16)
    while home.sleep(chance.uniform(*pause)):
        for _ in range(int(chance.uniform(*seconds) * per_second)):
            sequence = (sequence + 1) & 0xFFFF
            header = struct.pack("!BBHII", 0x80, 96, sequence, sequence * 3000 & 0xFFFFFFFF, 0x1A2B3C4D)
            sender.sendto(header + chance.randbytes(chance.randrange(300, 1200)), (home.net.address(viewer), 5004))
            if not home.sleep(1 / per_second):
                break


def watches_video(home, device, chance):
    """The other end of a live view: takes the packets, says every five seconds how they arrive."""
    home.net.enter(device)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.bind(("", 5004))
    receiver.settimeout(1)
    answered = 0.0
    while not home.over():
        try:
            _, source = receiver.recvfrom(2048)
        except TimeoutError:
            continue
        if time.monotonic() - answered > 5:
            answered = time.monotonic()
            receiver.sendto(struct.pack("!BBHI", 0x80, 201, 1, 0x1A2B3C4D), source)


def advertises(home, device, chance, every=60):
    """SSDP: announces itself to everyone, three messages at a time, and searches now and then."""
    home.net.enter(device)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(home.net.address(device)))
    sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 2)
    kinds = ("upnp:rootdevice", "urn:schemas-upnp-org:device:MediaRenderer:1", "urn:schemas-upnp-org:service:AVTransport:1")
    while home.sleep(every * chance.uniform(0.8, 1.2)):
        for kind in kinds:
            notify = (f"NOTIFY * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nCACHE-CONTROL: max-age=1800\r\nLOCATION: http://"
                      f"{home.net.address(device)}:80/desc.xml\r\nNT: {kind}\r\nNTS: ssdp:alive\r\nUSN: uuid:{device}::{kind}\r\n\r\n")
            sender.sendto(notify.encode(), ("239.255.255.250", 1900))
            home.sleep(0.05)
        if chance.random() < 0.4:
            search = (b'M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\nMAN: "ssdp:discover"\r\nMX: 2\r\nST: ssdp:all\r\n\r\n')
            sender.sendto(search, ("239.255.255.250", 1900))


def resolves(home, device, chance, names, pause=(10, 60)):
    """Applications that look names up, some of which do not exist."""
    while home.sleep(chance.uniform(*pause)):
        home.net.run(device, "dig", "+tries=1", "+time=2", chance.choice(names), chance.choice(["A", "A", "AAAA"]), timeout=5)


def boots(home, device, chance, at, names):
    """Switched off for some seconds, then DHCP, an announcement of its address, its names and a fresh time."""
    if not home.sleep(at):
        return
    net = home.net
    net.down(device)
    net.forget_address(device)
    home.sleep(chance.uniform(5, 12))
    net.up(device)
    script = services.config(net, "udhcpc.sh", '#!/bin/sh\n[ "$1" = bound ] || exit 0\nip address flush dev $interface scope global\n'
                             "ip address add $ip/24 dev $interface\nip route replace default via $router\n")
    script.chmod(0o755)
    net.run(device, "udhcpc", "-i", "eth0", "-n", "-q", "-f", "-t", 4, "-x", f"hostname:{device}", "-s", script, timeout=20)
    net.run(device, "arping", "-U", "-c", 2, "-i", "eth0", net.address(device), timeout=5)
    for name in names:
        net.run(device, "dig", "+tries=1", "+time=2", name, timeout=5)


def administers(home, device, chance, at, user, password, target, mistakes=1, commands=("uptime", "df -h", "ls -la /etc | head -60")):
    """Someone signs in by ssh, mistypes the password first, then works for some minutes."""
    if not home.sleep(at):
        return
    options = ("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "NumberOfPasswordPrompts=1", "-o",
               "PreferredAuthentications=password")
    for attempt in range(mistakes + 1):
        typed = password if attempt == mistakes else password[:-1] + "x"
        script = "; ".join(f"{command}; sleep {chance.randrange(6, 25)}" for command in commands) if attempt == mistakes else "true"
        home.net.run(device, "sshpass", "-p", typed, "ssh", *options, f"{user}@{target}", script, timeout=240)
        if not home.sleep(chance.uniform(3, 8)):
            return


def backs_up(home, device, chance, at, user, password, target, megabytes, kilobits=20000):
    """Copies a large file to the NAS over ssh."""
    if not home.sleep(at):
        return
    bulk = home.net.state / f"bulk-{device}"
    with open(bulk, "wb") as out:
        for _ in range(megabytes):
            out.write(chance.randbytes(1_000_000))
    home.net.run(device, "sshpass", "-p", password, "scp", "-l", kilobits, "-o", "StrictHostKeyChecking=no", "-o",
                 "UserKnownHostsFile=/dev/null", str(bulk), f"{user}@{target}:backup.tar", timeout=300)
    bulk.unlink()


def prints(home, device, chance, printer, pause=(300, 700)):
    """A few pages to the raw printing port."""
    while home.sleep(chance.uniform(*pause)):
        document = chance.randbytes(chance.randrange(40_000, 200_000)).hex()
        home.net.run(device, "socat", "-u", "-", f"TCP:{printer}:9100,connect-timeout=3", input=document, timeout=20)


def tests_speed(home, device, chance, at, server, seconds=6, rate="20M"):
    if not home.sleep(at):
        return
    for direction in ([], ["-R"]):
        home.net.run(device, "iperf3", "-c", server, "-t", seconds, "-b", rate, *direction, timeout=seconds + 15)
