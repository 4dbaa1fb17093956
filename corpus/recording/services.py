"""The servers that devices and the internet run: each function starts one real daemon in one namespace."""

import subprocess
import sys
import time
from pathlib import Path

from .network import Network, sh


def wait_for_port(net: Network, name, port, seconds=8, kind="-t"):
    for _ in range(int(seconds * 10)):
        if f":{port} " in net.run(name, "ss", "-nl", kind):
            return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port} in {name}")


def config(net, file, text):
    path = net.state / file
    path.write_text(text)
    return path


def dns_and_dhcp(net, names, first=150, last=180, domain="home.example"):
    """dnsmasq on the gateway: the names given, a lease range, nothing forwarded."""
    lines = [f"address=/{name}/{address}" for name, address in names.items()]
    lines += [f"host-record={name}.{domain},{address}" for name, address in net.addresses.items()]
    lines += [f"dhcp-host={net.macs[name]},{net.addresses[name]},{name}" for name in net.addresses if name != "gateway"]
    conf = config(net, "dnsmasq.conf", "\n".join([
        "no-resolv", "no-hosts", "bind-interfaces", "interface=eth0", f"domain={domain}", "local-ttl=20",
        f"dhcp-range={net.lan}.{first},{net.lan}.{last},12h", "dhcp-option=option:ntp-server,203.0.113.123",
        f"dhcp-leasefile={net.state}/leases", "user=root", "group=root", "pid-file=", *lines]) + "\n")
    net.start("gateway", "dnsmasq", "-k", "-C", conf, log="dnsmasq")
    wait_for_port(net, "gateway", 53)


def ntp_server(net, name="internet"):
    """chronyd that serves the time of this machine and never sets its clock (-x)."""
    conf = config(net, f"chrony-{name}.conf", f"local stratum 3\nallow all\ncmdport 0\npidfile {net.state}/chrony-{name}.pid\n"
                  "bindcmdaddress /\n")
    net.start(name, "chronyd", "-d", "-x", "-u", "root", "-f", conf, log="chrony")


def ntp_client(net, name, server="203.0.113.123", minpoll=6):
    conf = config(net, f"chrony-{name}.conf", f"server {server} iburst minpoll {minpoll} maxpoll {minpoll + 1}\ncmdport 0\n"
                  f"pidfile {net.state}/chrony-{name}.pid\nbindcmdaddress /\n")
    return net.start(name, "chronyd", "-d", "-x", "-u", "root", "-f", conf, log="chrony")


def web(net, name, pages=None, server_name="device", workers=1, extra="", plain_ports=(80,), https=True):
    """nginx on 80 and 443; `pages` maps paths to sizes in bytes; anything posted or put is read and thrown away."""
    root = net.state / f"www-{name}"
    root.mkdir(exist_ok=True)
    for path, size in {"index.html": 2400, "status.json": 180, **(pages or {})}.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes((b"lapwing corpus page " * (size // 20 + 1))[:size])
    certificate, key = net.state / f"{name}.crt", net.state / f"{name}.key"
    sh("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj",
       f"/CN={server_name}", "-keyout", key, "-out", certificate)
    net.state.chmod(0o755)
    listen = "".join(f"listen {port};" for port in plain_ports)
    if https:
        listen += f"listen 443 ssl http2; ssl_certificate {certificate}; ssl_certificate_key {key};"
    conf = config(net, f"nginx-{name}.conf", f"""
daemon off; worker_processes {workers}; user root; pid {net.state}/nginx-{name}.pid; error_log {net.state}/nginx-{name}.err;
events {{ worker_connections 2000; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {net.state}/body-{name}; proxy_request_buffering off;
  proxy_temp_path {net.state}/px-{name}; fastcgi_temp_path {net.state}/fc-{name}; uwsgi_temp_path {net.state}/uw-{name};
  scgi_temp_path {net.state}/sc-{name}; default_type text/html; keepalive_timeout 30; {extra}
  server {{
    {listen}
    root {root};
    location /upload {{ proxy_pass http://127.0.0.1:9009; }}
  }}
}}
""")
    net.start(name, "nginx", "-c", conf, "-e", f"{net.state}/nginx-{name}.err", log="nginx")
    net.start(name, sys.executable, Path(__file__).with_name("upload_sink.py"), log="sink")
    wait_for_port(net, name, 9009)
    wait_for_port(net, name, plain_ports[0])


def small_web(net, name, port=80):
    """busybox httpd: the web page of a device."""
    root = net.state / f"www-{name}"
    root.mkdir(exist_ok=True)
    (root / "status.json").write_text('{"state": "on", "power": 3.2, "uptime": 81312}\n')
    (root / "index.html").write_text("<html><body>device</body></html>\n")
    net.state.chmod(0o755)
    net.start(name, "busybox", "httpd", "-f", "-p", port, "-h", root, log="httpd")
    wait_for_port(net, name, port)


def ssh(net, name, tries=6):
    key = net.state / f"ssh-{name}"
    sh("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    Path("/run/sshd").mkdir(exist_ok=True)
    conf = config(net, f"sshd-{name}.conf", f"Port 22\nHostKey {key}\nUsePAM no\nPasswordAuthentication yes\nPidFile none\n"
                  f"UseDNS no\nMaxStartups 100\nMaxAuthTries {tries}\nSubsystem sftp internal-sftp\nPrintMotd no\n")
    net.start(name, "/usr/sbin/sshd", "-D", "-e", "-f", conf, log="sshd")
    wait_for_port(net, name, 22)


def telnet(net, name, port=23):
    """inetutils telnetd with the system's login program, one for each connection."""
    net.start(name, "socat", f"TCP-LISTEN:{port},fork,reuseaddr,backlog=64", "EXEC:/usr/sbin/telnetd -h,nofork", log="telnetd")
    wait_for_port(net, name, port)


def ftp(net, name):
    Path("/run/vsftpd/empty").mkdir(parents=True, exist_ok=True)
    conf = config(net, f"vsftpd-{name}.conf", "listen=YES\nlisten_ipv6=NO\nbackground=NO\nlocal_enable=YES\nwrite_enable=YES\n"
                  "anonymous_enable=NO\nseccomp_sandbox=NO\npam_service_name=vsftpd\nxferlog_enable=NO\n")
    net.start(name, "vsftpd", conf, log="vsftpd")
    wait_for_port(net, name, 21)


def mqtt_broker(net, name, users):
    passwords = net.state / f"mqtt-{name}.passwd"
    passwords.write_text("".join(f"{user}:{password}\n" for user, password in users.items()))
    sh("mosquitto_passwd", "-U", passwords)
    passwords.chmod(0o644)
    net.state.chmod(0o755)
    conf = config(net, f"mosquitto-{name}.conf", f"listener 1883 0.0.0.0\nallow_anonymous false\npassword_file {passwords}\n"
                  "user root\nmax_connections -1\n")
    net.start(name, "mosquitto", "-c", conf, log="mosquitto")
    wait_for_port(net, name, 1883)


def snmp(net, name):
    conf = config(net, f"snmpd-{name}.conf", f"agentaddress udp:161\nrocommunity public\nsysName {name}\n")
    net.start(name, "snmpd", "-f", "-Lo", "-C", "-c", conf, "-p", net.state / f"snmpd-{name}.pid", log="snmpd",
              env={"SNMP_PERSISTENT_DIR": str(net.state / f"snmp-{name}")})


def coap(net, name):
    net.start(name, "coap-server-notls", "-A", "0.0.0.0", "-v", "3", log="coap")


def iperf_server(net, name, address="0.0.0.0"):
    """Bound to one address: else its UDP answers would come from another of the internet's many."""
    net.start(name, "iperf3", "-s", "-B", address, log="iperf3")
    wait_for_port(net, name, 5201)


def announce(net, name, service, port):
    """avahi announces one service by mDNS (its folder in /run is private to the process)."""
    conf = config(net, f"avahi-{name}.conf", f"[server]\nhost-name={name}\nuse-ipv4=yes\nuse-ipv6=no\nenable-dbus=no\n"
                  "allow-interfaces=eth0\n[publish]\npublish-workstation=no\n")
    services = net.state / f"avahi-{name}"
    services.mkdir(exist_ok=True)
    (services / "one.service").write_text('<?xml version="1.0" standalone="no"?><!DOCTYPE service-group SYSTEM "avahi-service.dtd">'
        f"<service-group><name>{name}</name><service><type>{service}</type><port>{port}</port></service></service-group>")
    net.start(name, "sh", "-c", "mkdir -p /run/avahi-daemon; mount -t tmpfs tmpfs /run/avahi-daemon; mount --bind "
              f"{services} /etc/avahi/services; exec avahi-daemon -f {conf} --no-drop-root --no-chroot --no-rlimits", log="avahi")


def mqtt_publisher(net, name, broker, user, password, keepalive=60, topic=None):
    """A client that stays connected and publishes each line written to its standard input."""
    return net.start(name, "mosquitto_pub", "-h", broker, "-u", user, "-P", password, "-i", name, "-k", keepalive, "-t",
                     topic or f"home/{name}", "-l", stdin=subprocess.PIPE, log="mqtt")
