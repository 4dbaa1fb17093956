"""Ordinary work that looks like an attack to a hasty reader; each folder is one temptation."""

import random
import threading
import time

from . import services
from .behaviour import Alert, Claim, behaviour
from .habits import Household, boots, polls, publishes
from .lab import GATEWAY, HUB, LAPTOP, SENSOR, SERVER, build, play

DEVICES = ("gateway", "hub", "server", "sensor", "laptop", "attacker")  # of the lab; here nobody attacks


def quiet(name, shows, claims=(), tools=(), devices=DEVICES, **options):
    return behaviour(name, "benign", shows, claims=claims, tools=tools, devices=devices, **options)


def together(*jobs):
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@quiet("benign-web-crowd", "A page of the home's web server is suddenly read by some fifty addresses on the internet: about 550 connections in "
       "40 s, several at once from each, all served.",
       (Claim("clients", f"ip.dst=={SERVER} && tcp.flags==0x2", 45, None, "ip.src"),
        Claim("connections", f"ip.dst=={SERVER} && tcp.flags==0x2", 300)), ("curl", "nginx-light"), snaplen=96)
def web_crowd(net, capture):
    build(net)
    services.web(net, "server", {f"page{n}.html": 4_000 for n in range(4)} | {f"asset{n}.bin": 500 + 600 * n for n in range(14)})

    def visitors(seed):
        chance = random.Random(f"crowd-{seed}")
        end = time.monotonic() + 40
        while time.monotonic() < end:
            urls = [f"http://{SERVER}/page{chance.randrange(4)}.html", *(f"http://{SERVER}/asset{chance.randrange(14)}.bin" for _ in range(4))]
            outputs = [part for url in urls for part in ("-o", "/dev/null", url)]
            net.run("internet", "curl", "-s", "-Z", "--parallel-immediate", "--interface", f"198.51.100.{chance.randrange(100, 160)}", *outputs)
            time.sleep(chance.uniform(0.3, 1.8))

    play(net, capture, lambda: together(*(lambda seed=seed: visitors(seed) for seed in range(3))))


@quiet("benign-speed-test", "A laptop measures its line: iperf3 to a server on the internet, up and down, by TCP at 12 Mbit/s for eight "
       "seconds each and by UDP at 4 Mbit/s for six.",
       (Claim("full segments up", f"ip.src=={LAPTOP} && tcp.dstport==5201 && ip.len>1400", 6_000),
        Claim("UDP datagrams", f"ip.src=={LAPTOP} && udp.dstport==5201", 1500)), ("iperf3",), snaplen=66)
def speed_test(net, capture):
    build(net)
    services.iperf_server(net, "internet", "203.0.113.90")

    def work():
        for options in (("-t", 8, "-b", "12M"), ("-t", 8, "-b", "12M", "-R"), ("-u", "-t", 6, "-b", "4M")):
            net.attack("laptop", "iperf3", "-c", "203.0.113.90", *options)

    play(net, capture, work)


@quiet("benign-backup", "A server's backup: 30 MB to the storage in the same home by scp, while the sensor and the laptop do their work.",
       (Claim("full segments to the storage", "ip.dst==192.168.50.11 && ip.len>1400", 20_000),), ("openssh-client", "openssh-server", "sshpass"),
       devices=(*DEVICES, "nas"), snaplen=66)
def backup(net, capture):
    build(net)
    net.device("nas", 11, "00:11:32:7c:20:0b", users={"backup": "tape"})
    services.ssh(net, "nas")
    bulk = net.state / "bulk"
    chance = random.Random("bulk")
    bulk.write_bytes(b"".join(chance.randbytes(1_000_000) for _ in range(30)))
    play(net, capture, lambda: net.attack("server", "sshpass", "-p", "tape", "scp", "-l", 16000, "-o", "StrictHostKeyChecking=no", "-o",
                                          "UserKnownHostsFile=/dev/null", bulk, "backup@192.168.50.11:backup.tar", timeout=120))


@quiet("benign-power-cut", "The current comes back and nine devices start at once: DHCP, announcements of addresses by ARP, names, time, MQTT "
       "connections again.",
       (Claim("devices that ask DHCP", "dhcp.option.dhcp==3", 9, None, "eth.src"),
        Claim("ARP announcements", "arp.isgratuitous==1", 9), Claim("NTP requests", "ntp.flags.mode==3", 30)),
       ("udhcpc", "dnsmasq", "chrony", "arping", "bind9-dnsutils", "mosquitto-clients"), devices=(*DEVICES, *(f"plug-{n}" for n in range(9))))
def power_cut(net, capture):
    for number in range(9):
        net.device(f"plug-{number}", 100 + number, f"24:0a:c4:90:12:{number:02x}")
    build(net)
    services.ntp_server(net)
    home = Household(net, 75, "power")

    def starts(home, device, chance):
        boots(home, device, chance, 3, ("www.news.example", "static.cdn.example", "www.office.example", "time.example"))
        services.ntp_client(net, device)
        publishes(home, device, chance, HUB, "sensor-secret", 6, user="sensor")

    for number in range(9):
        home.does(f"plug-{number}", starts)
    play(net, capture, home.play)


@quiet("benign-address-moves", "An address changes hands twice, as it does when a service moves to its stand-by or a lease goes to another "
       "device: the old owner is gone, the new one announces itself by gratuitous ARP, once each.",
       (Claim("hardware addresses that claim 192.168.50.80", "arp.src.proto_ipv4==192.168.50.80", 2, 2, "arp.src.hw_mac"),
        Claim("answered requests to the service", "ip.src==192.168.50.80 && http.response", 20)), ("arping", "busybox", "curl"),
       devices=(*DEVICES, "primary", "standby"))
def address_moves(net, capture):
    build(net)
    for number, name in enumerate(("primary", "standby")):
        net.device(name, 81 + number, f"00:25:90:aa:50:{0x51 + number:02x}")
        services.small_web(net, name)

    def hold(name, seconds):
        net.run(name, "ip", "address", "add", "192.168.50.80/24", "dev", "eth0")
        net.run(name, "arping", "-U", "-c", 1, "-i", "eth0", "-S", "192.168.50.80", "192.168.50.80", timeout=5)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            net.run("laptop", "curl", "-s", "-m", 2, "-o", "/dev/null", "http://192.168.50.80/status.json", timeout=5)
            time.sleep(1.5)
        net.run(name, "ip", "address", "delete", "192.168.50.80/24", "dev", "eth0")

    def work():
        for name, seconds in (("primary", 25), ("standby", 30), ("primary", 25)):
            hold(name, seconds)
            time.sleep(2)

    play(net, capture, work)


@quiet("benign-ssh-automation", "A machine that manages five others signs in to each by ssh with a key, one command at a time: fifty short "
       "sessions in two minutes, all let in.",
       (Claim("sessions", f"ip.src=={SERVER} && tcp.dstport==22 && tcp.flags==0x2", 50, 50),), ("openssh-client", "openssh-server"),
       devices=(*DEVICES, *(f"node-{n}" for n in range(5))), snaplen=128)
def ssh_automation(net, capture):
    build(net)
    key = net.state / "automation"
    net.run("server", "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    for number in range(5):
        net.device(f"node-{number}", 90 + number, f"00:25:90:bb:00:{number:02x}", users={"deploy": "never used"})
        services.ssh(net, f"node-{number}")
    for home in net.state.glob("home-*"):
        (home / ".ssh").mkdir(exist_ok=True)
        (home / ".ssh" / "authorized_keys").write_text(key.with_suffix(".pub").read_text())

    def work():
        for round_ in range(10):
            for number in range(5):
                net.run("server", "ssh", "-i", key, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "BatchMode=yes",
                        f"deploy@192.168.50.{90 + number}", ("uptime", "df -h", "cat /etc/os-release")[round_ % 3])
                time.sleep(1.6)

    play(net, capture, work)


@quiet("benign-mqtt-reconnects", "Four sensors on a bad radio connect anew for every reading, every eight seconds or so: CONNECT, one message, "
       "DISCONNECT, more than a hundred short connections to port 1883, all accepted.",
       (Claim("connections", f"ip.dst=={HUB} && tcp.dstport==1883 && tcp.flags==0x2", 90),
        Claim("refused CONNECTs", "mqtt.conack.val>0", 0, 0)), ("mosquitto", "mosquitto-clients"),
       devices=(*DEVICES, *(f"radio-{n}" for n in range(4))))
def mqtt_reconnects(net, capture):
    build(net)
    for number in range(4):
        net.device(f"radio-{number}", 110 + number, f"24:0a:c4:33:00:{number:02x}")

    def reports(name):
        chance = random.Random(name)
        for _ in range(28):
            net.run(name, "mosquitto_pub", "-h", HUB, "-u", "sensor", "-P", "sensor-secret", "-t", f"home/{name}", "-m",
                    f"{chance.uniform(18, 24):.2f}")
            time.sleep(chance.uniform(6, 10))

    play(net, capture, lambda: together(*(lambda name=f"radio-{number}": reports(name) for number in range(4))))


@quiet("benign-video-call", "A video call by UDP, both ways at once: about ninety packets a second up and down for a minute, between a laptop "
       "and one address on the internet.",
       (Claim("datagrams up", f"ip.src=={LAPTOP} && udp.dstport==5201", 4000),
        Claim("datagrams down", f"ip.dst=={LAPTOP} && udp.srcport==5201", 4000)),
       ("iperf3",), snaplen=66)
def video_call(net, capture):
    build(net)
    services.iperf_server(net, "internet", "198.51.100.61")
    play(net, capture, lambda: net.attack("laptop", "iperf3", "-u", "--bidir", "-b", "600k", "-l", 800, "-t", 60, "-c", "198.51.100.61", timeout=90))


@quiet("benign-line-watch", "Somebody looks for a fault: ping five times a second for a minute, then traceroutes to four addresses (UDP to closed "
       "ports, ICMP errors from the router) and a look at which of three services answer.",
       (Claim("echo requests", f"ip.src=={LAPTOP} && icmp.type==8", 280), Claim("UDP probes of the traceroutes", f"ip.src=={LAPTOP} && "
        "udp.dstport>=33434 && udp.dstport<33600 && !icmp", 10)), ("iputils-ping", "busybox", "socat"))
def line_watch(net, capture):
    build(net)

    def work():
        net.attack("laptop", "ping", "-n", "-i", "0.2", "-c", 300, "203.0.113.81", timeout=80)
        for address in ("203.0.113.81", "198.51.100.84", "192.0.2.1", GATEWAY):
            net.attack("laptop", "busybox", "traceroute", "-n", "-q", 3, "-w", 1, "-m", 6, address, timeout=40)
        for place in (f"{GATEWAY}:53", f"{HUB}:1883", f"{SERVER}:443"):
            net.attack("laptop", "socat", "-u", "OPEN:/dev/null", f"TCP:{place},connect-timeout=2", timeout=5)

    play(net, capture, work)


@quiet("benign-watchdog", "A small monitor asks eight addresses every ten seconds for five minutes, by ping and on ports 22, 80 "
       "and 443; four of them are switched off (nothing answers), others refuse. The same few questions again and again: no scan.",
       (Claim("connections tried", f"ip.src=={HUB} && tcp.flags==0x2", 300),
        Claim("addresses they go to", f"ip.src=={HUB} && tcp.flags==0x2", 7, 9, "ip.dst"),
        Claim("answers", f"ip.dst=={HUB} && tcp.flags==0x12", 30)), ("curl", "socat", "iputils-ping", "openssh-server", "busybox"))
def watchdog(net, capture):
    build(net)
    services.ssh(net, "server")
    services.small_web(net, "server")
    absent = [f"192.168.50.{host}" for host in (120, 121, 122, 123)]
    for number, address in enumerate(absent):
        net.remembers("hub", address, f"3c:d9:2b:70:11:{number:02x}")
    places = [SERVER, SENSOR, LAPTOP, "203.0.113.81", *absent]
    targets = [("ping", one) for one in places] + [("tcp", f"{one}:{port}") for one in places for port in (80, 443)] + [("tcp", f"{SERVER}:22")]

    def work():
        home = Household(net, 300, "watchdog")
        for place in range(3):  # three pollers, so that waiting for the dead does not delay the rest
            home.does("hub", polls, targets[place::3], 10)
        home.play()

    play(net, capture, work)


@quiet("benign-cloud-keepalive", "What real things do and what no eye can tell from a beacon without knowing them: a plug keeps one connection to "
       "its maker's cloud open and pings it every fifteen seconds, a thermostat fetches the weather every twelve, for nine minutes.",
       (Claim("fetches of the weather", "ip.src==192.168.50.33 && ip.dst==203.0.113.41 && tcp.flags==0x2", 40),
        Claim("connections of the plug", "ip.src==192.168.50.31 && ip.dst==203.0.113.42 && tcp.flags==0x2", 1, 1)),
       ("mosquitto", "mosquitto-clients", "curl"), devices=(*DEVICES, "plug", "thermostat"),
       tolerated=(Alert("beacon", "192.168.50.31"), Alert("beacon", "192.168.50.33")))
def cloud_keepalive(net, capture):
    build(net)
    net.device("plug", 31, "24:0a:c4:90:11:1f")
    net.device("thermostat", 33, "18:b4:30:0c:44:21")
    services.mqtt_broker(net, "internet", {"plug": "plug"})

    def weather():
        for _ in range(44):
            net.run("thermostat", "curl", "-sk", "-o", "/dev/null", "https://203.0.113.41/page1.html")
            time.sleep(12)

    def work():
        net.show("plug", "mosquitto_sub -h 203.0.113.42 -k 15 -t plug/orders")
        net.show("thermostat", "(every 12 s) curl -sk https://203.0.113.41/page1.html")
        net.start("plug", "mosquitto_sub", "-h", "203.0.113.42", "-u", "plug", "-P", "plug", "-k", 15, "-t", "plug/orders", log="plug")
        weather()

    play(net, capture, work)
