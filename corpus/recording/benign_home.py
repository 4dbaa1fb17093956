"""Homes and workshops where nothing is wrong, for tens of minutes: what must stay silent."""

from . import services
from .behaviour import Claim, behaviour
from .habits import (Household, administers, advertises, asks_for_updates, backs_up, boots, browses, listens, polls, prints, publishes,
                     resolves, streams_video, tests_speed, uploads_clips, watches_video)

HOME = {  # name: (last octet, MAC)
    "hub": (10, "b8:27:eb:3a:10:0a"), "nas": (11, "00:11:32:7c:20:0b"), "camera-door": (21, "44:19:b6:51:00:15"),
    "camera-yard": (22, "44:19:b6:51:00:16"), "plug-kitchen": (31, "24:0a:c4:90:11:1f"), "plug-desk": (32, "24:0a:c4:90:11:20"),
    "thermostat": (33, "18:b4:30:0c:44:21"), "sensor": (34, "24:0a:c4:77:02:22"), "bulb": (35, "00:17:88:64:0d:23"),
    "laptop": (51, "3c:a9:f4:12:bb:33"), "phone": (52, "da:a1:19:4e:02:34"), "tv": (53, "8c:77:12:5d:01:35"),
    "speaker": (54, "44:65:0d:2a:77:36"), "tablet": (55, "f6:0e:11:9a:31:37"),
}
SITES = {"www.news.example": "203.0.113.81", "shop.example.com": "203.0.113.82", "video.example.net": "198.51.100.83",
         "static.cdn.example": "198.51.100.84", "mail.example.org": "198.51.100.85"}
CLOUD = {"clips.camera.example": "203.0.113.40", "updates.vendor.example": "203.0.113.41", "updates.tv.example": "198.51.100.42",
         "time.example": "203.0.113.123", "www.google.example": "198.51.100.86"}
MQTT = {name: f"{name}-secret" for name in HOME}


def build_home(net, users=None, names=HOME):
    """The devices and servers of the home, all running, nobody doing anything yet."""
    for name, (host, mac) in names.items():
        net.device(name, host, mac, users=(users or {}).get(name))
    services.dns_and_dhcp(net, {**SITES, **CLOUD})
    services.ntp_server(net)
    pages = {f"page{n}.html": 9_000 + 7_000 * n for n in range(4)} | {f"asset{n}.bin": 900 + 5_500 * n for n in range(14)}
    services.web(net, "internet", pages | {"firmware.json": 310, "firmware.bin": 400_000})
    services.iperf_server(net, "internet")


def home_services(net):
    """What the home's own devices offer each other."""
    services.mqtt_broker(net, "hub", MQTT)
    services.ssh(net, "nas")
    services.snmp(net, "nas")
    services.small_web(net, "nas")
    services.coap(net, "sensor")
    for name in ("camera-door", "camera-yard", "plug-kitchen", "plug-desk", "bulb", "tv", "gateway"):
        services.small_web(net, name)
    services.announce(net, "nas", "_smb._tcp", 445)
    services.announce(net, "speaker", "_googlecast._tcp", 8009)


def home_habits(net, home):
    address = net.address
    broker = address("hub")
    for name in ("laptop", "tv", "camera-door", "camera-yard", "nas"):
        services.ntp_client(net, name)
    home.does("hub", listens, broker, MQTT["hub"])
    for name, every in (("plug-kitchen", 10), ("plug-desk", 10), ("thermostat", 20), ("bulb", 45)):
        home.does(name, publishes, broker, MQTT[name], every)
    watched = ("camera-door", "camera-yard", "plug-kitchen", "plug-desk", "bulb", "tv", "nas", "gateway")
    targets = [("http", address(name)) for name in watched]
    targets += [("ping", address(name)) for name in HOME if name != "hub"] + [("snmp", address("nas")), ("coap", address("sensor"))]
    targets += [("http", f"{net.lan}.41"), ("ping", f"{net.lan}.41"), ("snmp", f"{net.lan}.41")]  # the printer is switched off
    home.does("hub", polls, targets, 30)
    home.does("camera-door", uploads_clips, "https://clips.camera.example/upload", (70, 260))
    home.does("camera-yard", uploads_clips, "https://clips.camera.example/upload", (200, 500))
    home.does("camera-door", streams_video, "tablet")
    home.does("tablet", watches_video)
    for name in ("plug-kitchen", "camera-door", "camera-yard", "thermostat"):
        home.does(name, asks_for_updates, "https://updates.vendor.example/firmware.json", 330)
    home.does("tv", asks_for_updates, "https://updates.tv.example/firmware.json", 420)
    home.does("tv", advertises)
    home.does("speaker", advertises, 90)
    sites = tuple(SITES)
    home.does("laptop", browses, sites, (6, 60))
    home.does("phone", browses, sites, (15, 150))
    home.does("tablet", browses, sites, (40, 240))
    home.does("tv", browses, ("video.example.net",), (20, 120))
    names = (*SITES, *CLOUD, "nas.home.example", "printer.home.example", "wpad.home.example", "telemetry.old.example")
    home.does("laptop", resolves, names)
    home.does("phone", resolves, names, (20, 90))
    home.does("speaker", resolves, names, (30, 120))


@behaviour(
    "benign-home", "benign",
    "45 minutes of a home of fifteen devices: cameras that upload clips and stream to a tablet, plugs, bulb and thermostat that "
    "publish by MQTT, a hub that asks every device every 30 s (by HTTP, ping, SNMP and CoAP; the printer it also asks is "
    "switched off), people who browse, time, DNS with names that do not exist, mDNS, SSDP, firmware checks every five to seven "
    "minutes, a backup to the NAS, a speed test, an administrator who mistypes a password twice, and four devices that restart.",
    tools=("curl", "nginx-light", "mosquitto", "mosquitto-clients", "dnsmasq", "chrony", "snmpd", "snmp", "libcoap3-bin", "busybox",
           "avahi-daemon", "openssh-server", "openssh-client", "sshpass", "iperf3", "iputils-ping", "arping", "udhcpc", "bind9-dnsutils"),
    devices=("gateway", *HOME), snaplen=112,
    cuts=(("tcp and not port 1883 and not port 80", 66), ("udp port 5004", 58)),
    claims=(
        Claim("devices that speak", "arp || ip.src==192.168.50.0/24", 15, 17, "eth.src"),
        Claim("SYNs of the hub to the printer, none answered", "ip.dst==192.168.50.41 && tcp.flags==0x2", 80),
        Claim("frames from the printer that is switched off", "ip.src==192.168.50.41 || eth.src==3c:d9:2b:70:11:29", 0, 0),
        Claim("MQTT publications seen by the broker's host", "tcp.dstport==1883 && tcp.len>0", 600),
        Claim("NTP requests to the time server", "ntp.flags.mode==3", 100),
        Claim("clips and checks: TLS connections to the clouds", "tcp.flags==0x2 && tcp.dstport==443", 200),
        Claim("ssh connections in all, two of them with a wrong password", "tcp.flags==0x2 && tcp.dstport==22", 3, 8),
        Claim("DHCP messages of the devices that restart", "udp.srcport==68", 8),
    ))
def benign_home(net, capture, minutes=45):
    build_home(net, {"nas": {"admin": "correct horse"}})
    home_services(net)
    net.remembers("hub", f"{net.lan}.41", "3c:d9:2b:70:11:29")
    tcpdump = capture()
    home = Household(net, minutes * 60, "home")
    home_habits(net, home)
    names = tuple(CLOUD) + tuple(SITES)
    for device, at in (("bulb", 400), ("speaker", 760), ("plug-desk", 1300), ("phone", 1900)):
        home.does(device, boots, at, names)
    home.does("laptop", administers, 620, "admin", "correct horse", net.address("nas"), 2)
    home.does("laptop", backs_up, 1000, "admin", "correct horse", net.address("nas"), 12)
    home.does("laptop", tests_speed, 1700, "203.0.113.90", 4)
    home.play()
    net.stop_capture(tcpdump)


WORKSHOP = {
    "monitor": (5, "52:54:00:6b:10:05"), "web-server": (10, "00:25:90:aa:10:0a"), "nas": (11, "00:11:32:51:10:0b"),
    "printer": (20, "3c:d9:2b:44:10:14"), "plc": (30, "00:80:f4:0e:10:1e"), "gateway-coap": (31, "b8:27:eb:91:10:1f"),
    "sensor-a": (41, "24:0a:c4:21:10:29"), "sensor-b": (42, "24:0a:c4:21:10:2a"), "sensor-c": (43, "24:0a:c4:21:10:2b"),
    "desk-1": (51, "3c:a9:f4:61:10:33"), "desk-2": (52, "3c:a9:f4:61:10:34"), "desk-3": (53, "3c:a9:f4:61:10:35"),
}


@behaviour(
    "benign-workshop", "benign",
    "40 minutes of a small workshop of thirteen devices under a monitor that asks 17 addresses every 60 s by ping, SNMP, HTTP, CoAP "
    "and TCP connects to eight ports (three of the hosts do not exist, one outside drops everything, some services refuse), a web server "
    "that three desks and forty addresses outside use, a printer, MQTT sensors every 5 s, CoAP, two ssh sessions, a nightly backup and a reboot.",
    tools=("curl", "nginx-light", "mosquitto", "mosquitto-clients", "dnsmasq", "chrony", "snmpd", "snmp", "libcoap3-bin", "busybox",
           "openssh-server", "openssh-client", "sshpass", "iputils-ping", "socat", "udhcpc", "arping", "bind9-dnsutils"),
    devices=("gateway", *WORKSHOP), snaplen=96, lan="10.20.30",
    cuts=(("tcp and not port 1883 and not port 80", 66),),
    claims=(
        Claim("addresses the monitor asks (ARP included)", "arp.opcode==1 && arp.src.proto_ipv4==10.20.30.5", 14, None,
              "arp.dst.proto_ipv4"),
        Claim("connections the monitor opens", "ip.src==10.20.30.5 && tcp.flags==0x2", 400),
        Claim("SYNs of the monitor to the host outside that drops them", "ip.dst==192.0.2.77 && tcp.flags==0x2", 60),
        Claim("connections refused to the monitor", "ip.dst==10.20.30.5 && tcp.flags==0x14", 30),
        Claim("outside clients of the web server", "ip.dst==10.20.30.10 && tcp.flags==0x2 && !(ip.src==10.20.30.0/24)", 20, None,
              "ip.src"),
        Claim("MQTT publications", "tcp.dstport==1883 && tcp.len>0", 1000),
    ))
def benign_workshop(net, capture, minutes=40):
    for name, (host, mac) in WORKSHOP.items():
        net.device(name, host, mac, users={"admin": "machine shop"} if name in ("nas", "web-server") else None)
    address = net.address
    services.dns_and_dhcp(net, {**SITES, **CLOUD})
    services.ntp_server(net)
    pages = {f"page{n}.html": 9_000 + 7_000 * n for n in range(4)} | {f"asset{n}.bin": 900 + 5_500 * n for n in range(14)}
    services.web(net, "internet", pages | {"firmware.json": 310})
    services.web(net, "web-server", pages)
    for name in ("printer", "plc", "nas", "gateway"):
        services.small_web(net, name)
    for name in ("nas", "web-server"):
        services.ssh(net, name)
    for name in ("nas", "printer", "plc"):
        services.snmp(net, name)
    sensors = ("sensor-a", "sensor-b", "sensor-c")
    services.mqtt_broker(net, "gateway-coap", {name: "shop" for name in (*sensors, "desk-1")})
    services.coap(net, "gateway-coap")
    net.start("printer", "socat", "-u", "TCP-LISTEN:9100,fork,reuseaddr", "OPEN:/dev/null", log="print")
    net.silent("internet", "192.0.2.77")
    tcpdump = capture()
    home = Household(net, minutes * 60, "workshop")
    everyone = [address(name) for name in WORKSHOP if name != "monitor"] + [f"{net.lan}.{n}" for n in (1, 60, 61, 62)]
    checks = [("ping", one) for one in everyone] + [("snmp", address(name)) for name in ("nas", "printer", "plc")]
    checks += [("http", address(name)) for name in ("web-server", "printer", "plc", "nas")]
    checks += [("tcp", f"{address(name)}:{port}") for name, port in (
        ("web-server", 22), ("web-server", 443), ("nas", 22), ("nas", 445), ("printer", 9100), ("printer", 631), ("plc", 502),
        ("gateway-coap", 1883))]
    checks += [("tcp", f"{net.lan}.60:22"), ("tcp", f"{net.lan}.1:53"), ("tcp", "192.0.2.77:443"), ("http", "192.0.2.77")]
    checks.append(("coap", address("gateway-coap")))
    home.does("monitor", polls, checks, 60)
    for name in sensors:
        home.does(name, publishes, address("gateway-coap"), "shop", 5)
    home.does("desk-1", listens, address("gateway-coap"), "shop")
    for name in ("desk-1", "desk-2", "desk-3"):
        home.does(name, browses, (*SITES, address("web-server"), address("web-server")), (15, 120))
        home.does(name, prints, address("printer"), (400, 1100))
        services.ntp_client(net, name)
    for name in ("plc", "web-server"):
        services.ntp_client(net, name)
    home.does("internet", visits, address("web-server"))
    for name in sensors:
        home.does(name, asks_for_updates, "https://updates.vendor.example/firmware.json", 480)
    home.does("desk-1", administers, 500, "admin", "machine shop", address("web-server"), 1)
    home.does("desk-2", administers, 1500, "admin", "machine shop", address("nas"), 0)
    home.does("web-server", backs_up, 1100, "admin", "machine shop", address("nas"), 15)
    home.does("sensor-c", boots, 900, tuple(CLOUD))
    home.play()
    net.stop_capture(tcpdump)


def visits(home, device, chance, server, pause=(4, 25)):
    """The public of a web server: forty addresses, one page with its images each time."""
    while home.sleep(chance.uniform(*pause)):
        source = f"198.51.100.{chance.randrange(100, 140)}"
        urls = [f"http://{server}/page{chance.randrange(4)}.html"]
        urls += [f"http://{server}/asset{chance.randrange(14)}.bin" for _ in range(chance.randrange(1, 5))]
        outputs = [part for url in urls for part in ("-o", "/dev/null", url)]
        home.net.run(device, "curl", "-s", "--interface", source, "--parallel", "-m", 15, *outputs, timeout=20)
