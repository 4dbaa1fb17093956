"""The place where attacks happen: a few servers, an attacker, and neighbours who go on with ordinary work meanwhile."""

import time

from . import services
from .habits import Household, browses, publishes, resolves

NAMES = {"www.news.example": "203.0.113.81", "static.cdn.example": "198.51.100.84", "www.office.example": "198.51.100.85"}
USERS = {"admin": "correct horse", "root2": "battery staple"}
ATTACKER, SERVER, HUB, SENSOR, LAPTOP, GATEWAY = (f"192.168.50.{host}" for host in (66, 20, 10, 34, 51, 1))
NEIGHBOURS = (HUB, SENSOR, LAPTOP, GATEWAY)
OUTSIDER = "198.51.100.23"


def build(net, server_users=None):
    """Gateway, hub, sensor, laptop, a server and the attacker's device."""
    net.device("hub", 10, "b8:27:eb:3a:10:0a")
    net.device("server", 20, "00:25:90:aa:50:14", users=server_users or USERS)
    net.device("sensor", 34, "24:0a:c4:77:02:22")
    net.device("laptop", 51, "3c:a9:f4:12:bb:33")
    net.device("attacker", 66, "a0:99:9b:3c:66:66")
    services.dns_and_dhcp(net, NAMES)
    services.mqtt_broker(net, "hub", {"sensor": "sensor-secret"})
    services.web(net, "internet", {f"page{n}.html": 2_000 for n in range(4)} | {f"asset{n}.bin": 300 + 320 * n for n in range(14)})


def neighbours(net, seconds):
    """Starts the ordinary work of the others; it ends after `seconds` or with the network."""
    home = Household(net, seconds, "lab")
    home.does("sensor", publishes, HUB, "sensor-secret", 5)
    home.does("laptop", browses, tuple(NAMES), (4, 20), scheme="http")
    home.does("laptop", resolves, (*NAMES, "wpad.home.example"), (4, 15))
    for thread in home.threads:
        thread.start()
    return home


def play(net, capture, work, seconds=900, before=5, after=5):
    """Captures `work` with some seconds of ordinary traffic before and after it."""
    tcpdump = capture()
    home = neighbours(net, seconds)
    time.sleep(before)
    work()
    time.sleep(after)
    net.stop_capture(tcpdump)
    home.until = 0.0
