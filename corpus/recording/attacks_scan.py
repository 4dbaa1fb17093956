"""Scans: of one host's ports, of many hosts, of services; fast, slow, from inside and from outside."""

from . import services
from .behaviour import Alert, Claim, behaviour
from .lab import ATTACKER, GATEWAY, NEIGHBOURS, OUTSIDER, SERVER, build, play

INNOCENT = (*NEIGHBOURS, SERVER)


def server(net):
    build(net)
    services.ssh(net, "server")
    services.small_web(net, "server")
    services.ftp(net, "server")


def probes(flags, least, most=None, by=ATTACKER):
    return Claim(f"ports of the server tried with TCP flags {flags}", f"ip.src=={by} && ip.dst=={SERVER} && tcp.flags=={flags}", least,
                 most, "tcp.dstport")


SCANS = {  # name: (nmap options, what kind of probe, claim)
    "port-scan-syn": (("-sS", "--top-ports", "1000"), "half-open SYN scan of the thousand commonest ports", probes("0x2", 1000)),
    "port-scan-connect": (("-sT", "--top-ports", "500"), "connect scan of the five hundred commonest ports", probes("0x2", 500)),
    "port-scan-fin": (("-sF", "--top-ports", "200"), "FIN scan of two hundred ports", probes("0x1", 200)),
    "port-scan-null": (("-sN", "--top-ports", "200"), "NULL scan of two hundred ports", probes("0x0", 200)),
    "port-scan-xmas": (("-sX", "--top-ports", "200"), "Xmas scan (FIN, PSH, URG) of two hundred ports", probes("0x29", 200)),
}


def register_scan(name, options, what, claim):
    @behaviour(name, "attack", f"nmap's {what} of one server in the same network. Open: 21, 22, 80; the rest refuses or is silent.",
               expected=(Alert("port-scan", ATTACKER, (SERVER,)),), never=INNOCENT, claims=(claim,),
               tools=("nmap", "openssh-server", "vsftpd", "busybox", "mosquitto", "curl", "nginx-light"))
    def scan(net, capture):
        server(net)
        play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-Pn", *options, SERVER))


for scan_name, scan_details in SCANS.items():
    register_scan(scan_name, *scan_details)


@behaviour("port-scan-udp", "attack", "nmap's UDP scan of the sixty commonest UDP ports of one server, which answers with about one ICMP "
           "'port unreachable' a second, as Linux limits them.",
           expected=(Alert("port-scan", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("nmap", "snmpd"),
           claims=(Claim("UDP ports tried", f"ip.src=={ATTACKER} && ip.dst=={SERVER} && udp && !icmp", 60, None, "udp.dstport"),
                   Claim("ICMP port unreachable", f"icmp.type==3 && icmp.code==3 && ip.src=={SERVER}", 8)))
def port_scan_udp(net, capture):
    server(net)
    services.snmp(net, "server")
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-Pn", "-sU", "--top-ports", "60", "--max-retries", "1", SERVER,
                                          timeout=240))


@behaviour("port-scan-slow", "attack", "A patient SYN scan: one probe every five seconds, sixty ports, five minutes.",
           expected=(Alert("slow-scan", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("nmap",), claims=(probes("0x2", 60, 60),))
def port_scan_slow(net, capture):
    server(net)
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-Pn", "-sS", "--top-ports", "60", "--scan-delay", "5s",
                                          "--max-scan-delay", "5s", SERVER, timeout=400))


@behaviour("port-scan-sneaky", "attack", "nmap's own 'sneaky' timing, one probe every fifteen seconds: forty-five ports in eleven minutes.",
           expected=(Alert("slow-scan", ATTACKER, (SERVER,)),), never=INNOCENT, tools=("nmap",), claims=(probes("0x2", 45, 45),))
def port_scan_sneaky(net, capture):
    server(net)
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-Pn", "-sS", "-T1", "--top-ports", "45", SERVER, timeout=840))


@behaviour("port-scan-from-outside", "attack", "An address on the internet scans a server behind the router with SYNs.",
           expected=(Alert("port-scan", OUTSIDER, (SERVER,)),), never=INNOCENT, tools=("nmap",), claims=(probes("0x2", 500, by=OUTSIDER),))
def port_scan_from_outside(net, capture):
    server(net)
    play(net, capture, lambda: net.attack("internet", "nmap", "-n", "-Pn", "-sS", "--top-ports", "500", "-e", "eth0", "-S", OUTSIDER,
                                          SERVER))


@behaviour("service-discovery", "attack", "nmap asks every open port of one server which program and version listens (-sV), after a scan of "
           "ports 1 to 110 and 1883.",
           expected=(Alert("port-scan", ATTACKER, (SERVER,)), Alert("service-discovery", ATTACKER, (SERVER,))), never=INNOCENT,
           tools=("nmap", "openssh-server", "vsftpd", "mosquitto", "busybox"),
           claims=(probes("0x2", 100), Claim("connections that carried data of the server back",
                                             f"ip.src=={SERVER} && ip.dst=={ATTACKER} && tcp.len>0", 5, None, "tcp.srcport")))
def service_discovery(net, capture):
    server(net)
    services.telnet(net, "server")
    services.mqtt_broker(net, "server", {"sensor": "sensor-secret"})
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-Pn", "-sS", "-sV", "-p", "1-110,1883", SERVER,
                                          timeout=200))


def sparse_internet(net, alive, refusing=(), prefix="203.0.113"):
    """Makes most addresses of a documentation network silent; some answer, some refuse."""
    answering = ", ".join(f"{prefix}.{host}" for host in alive)
    refuse = ", ".join(f"{prefix}.{host}" for host in refusing)
    rules = ["add table ip sparse", "add chain ip sparse input { type filter hook input priority 0; }",
             "add rule ip sparse input ct state established,related accept"]
    if refuse:
        rules.append(f"add rule ip sparse input ip daddr {{ {refuse} }} tcp flags syn reject with tcp reset")
    rules.append(f"add rule ip sparse input ip daddr {prefix}.0/24 ip daddr != {{ {answering}, {prefix}.81 }} drop")
    net.run("internet", "nft", "; ".join(rules))


@behaviour("host-sweep-icmp", "attack", "A device of the home pings all of 203.0.113.0/24 by ICMP echo; eleven addresses answer.",
           expected=(Alert("host-sweep", ATTACKER),), never=INNOCENT, tools=("nmap",),
           claims=(Claim("addresses pinged", f"ip.src=={ATTACKER} && icmp.type==8", 250, None, "ip.dst"),
                   Claim("addresses that answer", f"ip.dst=={ATTACKER} && icmp.type==0", 9, 14, "ip.src")))
def host_sweep_icmp(net, capture):
    server(net)
    sparse_internet(net, (1, 7, 20, 33, 40, 77, 80, 99, 123, 200))
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-sn", "-PE", "203.0.113.0/24"))


@behaviour("arp-sweep", "attack", "A device of the home looks for its neighbours: nmap asks for all 254 addresses of the network by ARP.",
           expected=(Alert("arp-sweep", ATTACKER),), never=INNOCENT, tools=("nmap",),
           claims=(Claim("addresses asked for", f"arp.opcode==1 && arp.src.proto_ipv4=={ATTACKER}", 250, None, "arp.dst.proto_ipv4"),))
def arp_sweep(net, capture):
    server(net)
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-sn", "192.168.50.0/24"))


@behaviour("network-scan", "attack", "A device of the home tries port 22 of every address of 203.0.113.0/24; nine answer, four refuse, the "
           "rest is silent.",
           expected=(Alert("network-scan", ATTACKER),), never=INNOCENT, tools=("nmap",),
           claims=(Claim("addresses tried", f"ip.src=={ATTACKER} && tcp.dstport==22 && tcp.flags==0x2", 250, None, "ip.dst"),))
def network_scan(net, capture):
    server(net)
    services.ssh(net, "internet")
    sparse_internet(net, (1, 7, 20, 33, 40, 77, 80, 99), refusing=(50, 51, 52, 53))
    play(net, capture, lambda: net.attack("attacker", "nmap", "-n", "-Pn", "-sS", "-p", "22", "--max-retries", "1", "203.0.113.0/24"))


@behaviour("network-scan-local", "attack", "A device of the home opens connections to port 80 of the sixty addresses .10 to .69; four hosts "
           "exist. Most SYNs never leave the device: the sweep shows in its ARP requests.",
           expected=(Alert("arp-sweep", ATTACKER),), never=INNOCENT, tools=("socat", "busybox"),
           claims=(Claim("addresses asked for by ARP", f"arp.opcode==1 && arp.src.proto_ipv4=={ATTACKER}", 55, None,
                         "arp.dst.proto_ipv4"),))
def network_scan_local(net, capture):
    server(net)
    play(net, capture, lambda: net.attack("attacker", "busybox", "sh", "-c", "for host in $(seq 10 69); do "
                                          "socat -u OPEN:/dev/null TCP:192.168.50.$host:80,connect-timeout=1; done", timeout=150))


@behaviour("host-sweep-behind-router", "attack", "An address on the internet pings the whole home network. Seen from inside: echo requests "
           "reach only the six hosts that exist, but the router asks by ARP for every address.",
           tolerated=(Alert("arp-sweep", GATEWAY),), never=(*NEIGHBOURS[:3], SERVER), tools=("nmap",),
           claims=(Claim("addresses the router asks for", f"arp.opcode==1 && arp.src.proto_ipv4=={GATEWAY}", 240, None,
                         "arp.dst.proto_ipv4"),
                   Claim("hosts that get an echo request", f"ip.src=={OUTSIDER} && icmp.type==8", 5, 7, "ip.dst")))
def host_sweep_behind_router(net, capture):
    server(net)
    play(net, capture, lambda: net.attack("internet", "nmap", "-n", "-sn", "-PE", "-e", "eth0", "-S", OUTSIDER, "192.168.50.0/24"))
