"""A home network of network namespaces: one switch, one router, one internet, and any number of devices.

Every namespace is named `lapwing.TAG.NAME`; nothing outside them is touched, and only processes started here (or left in a
namespace of the same tag by a broken run) are ended, by their id. Frames are captured on the bridge itself, so each is seen
once, with its Ethernet header, and (offloads being off) with the checksum and the size it would have on a cable.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNET = 0x40000000


def sh(*command, check=True):
    return subprocess.run([str(part) for part in command], check=check, capture_output=True, text=True)


class Network:
    """`192.168.50.0/24` behind a router, and an internet of the three documentation networks (RFC 5737)."""

    INTERNET = ("203.0.113.0/24", "198.51.100.0/24", "192.0.2.0/24")

    def __init__(self, tag, lan="192.168.50"):
        self.tag, self.lan = tag, lan
        self.state = Path(tempfile.mkdtemp(prefix=f"lapwing-{tag}-"))
        self.addresses, self.macs, self.processes, self.shown = {}, {}, [], []
        self.ports = {}  # the switch's end of each device's cable

    def __enter__(self):
        self._remove_leftovers()
        self._namespace("switch")
        self._in("switch", "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
        sh("ip", "-n", self.ns("switch"), "link", "add", "br0", "type", "bridge", "stp_state", "0", "forward_delay", "0",
           "mcast_snooping", "0")
        sh("ip", "-n", self.ns("switch"), "link", "set", "br0", "up")
        self.device("gateway", 1, "50:c7:bf:00:50:01")
        self._in("gateway", "sysctl", "-qw", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
                 "net.ipv4.conf.eth0.send_redirects=0")
        self._internet()
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            end(process)
        self._remove_leftovers()
        shutil.rmtree(self.state, ignore_errors=True)

    def ns(self, name):
        return f"lapwing.{self.tag}.{name}"

    def address(self, name):
        return self.addresses[name]

    def device(self, name, host, mac, users=None, more_addresses=()):
        """A namespace with `eth0` on the switch. `users` maps login names to passwords, valid in this namespace only."""
        self._namespace(name, users or {})
        port = self.ports[name] = f"port{len(self.ports) + 1}"
        sh("ip", "-n", self.ns("switch"), "link", "add", port, "type", "veth", "peer", "name", "eth0", "address", mac, "netns",
           self.ns(name))
        sh("ip", "-n", self.ns("switch"), "link", "set", port, "master", "br0", "up")
        self._plain_offloads("switch", port)
        self._plain_offloads(name, "eth0")
        self.addresses[name], self.macs[name] = f"{self.lan}.{host}", mac
        for last in (host, *more_addresses):
            sh("ip", "-n", self.ns(name), "address", "add", f"{self.lan}.{last}/24", "dev", "eth0")
        sh("ip", "-n", self.ns(name), "link", "set", "eth0", "up")
        if name != "gateway":
            sh("ip", "-n", self.ns(name), "route", "add", "default", "via", f"{self.lan}.1")
        return self.addresses[name]

    def forget_address(self, name):
        """Takes a device's address away, as if it had just been switched on (it then asks DHCP)."""
        sh("ip", "-n", self.ns(name), "address", "flush", "dev", "eth0", "scope", "global")

    def remembers(self, name, address, mac):
        """A neighbour that stays in a device's table: it goes on asking one that is switched off, and gets no answer."""
        sh("ip", "-n", self.ns(name), "neighbour", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "permanent")

    def silent(self, name, address):
        """Packets to this address of a namespace are dropped without an answer."""
        sh(*self.command(name, ["nft", "add table ip silent; add chain ip silent input { type filter hook input priority 0; }; "
                                f"add rule ip silent input ip daddr {address} drop"]))

    def down(self, name):
        sh("ip", "-n", self.ns(name), "link", "set", "eth0", "down")

    def up(self, name):
        sh("ip", "-n", self.ns(name), "link", "set", "eth0", "up")
        sh("ip", "-n", self.ns(name), "route", "replace", "default", "via", f"{self.lan}.1", check=False)

    # -- processes -------------------------------------------------------------------------------------------------------

    def command(self, name, command):
        return ["ip", "netns", "exec", self.ns(name), *map(str, command)]

    def start(self, name, *command, stdin=subprocess.DEVNULL, log=None, env=None):
        """Starts a service or a background tool in a device; it ends with the network at the latest."""
        output = open(self.state / f"{log or 'log'}-{len(self.processes)}", "wb")
        process = subprocess.Popen(self.command(name, command), stdin=stdin, stdout=output, stderr=subprocess.STDOUT,
                                   start_new_session=True, cwd=self.state, env={**os.environ, **(env or {})})
        output.close()
        self.processes.append(process)
        return process

    def run(self, name, *command, timeout=60, input=None):
        """Runs a tool in a device until it is done, at most `timeout` seconds; gives what it printed."""
        process = subprocess.Popen(self.command(name, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, start_new_session=True, cwd=self.state)
        try:
            out, _ = process.communicate(None if input is None else input.encode(), timeout=timeout)
        except subprocess.TimeoutExpired:
            end(process)
            out, _ = process.communicate()
        return out.decode(errors="replace")

    def attack(self, name, *command, timeout=120, input=None):
        """`run`, remembered for the README."""
        self.show(name, *command)
        return self.run(name, *command, timeout=timeout, input=input)

    def show(self, name, *command):
        words = [str(word) for word in command]
        self.shown.append(f"{name}$ " + " ".join(f"'{word}'" if " " in word else word for word in words).replace(str(self.state), "."))

    def enter(self, name):
        """Moves the calling thread into the device: sockets it opens from now on are the device's."""
        with open(f"/run/netns/{self.ns(name)}") as handle:
            if _LIBC.setns(handle.fileno(), _CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), f"cannot enter {self.ns(name)}")

    # -- capture ---------------------------------------------------------------------------------------------------------

    def capture(self, path, snaplen=262144, expression="", namespace="switch", interface="br0", direction=None):
        """Starts tcpdump on the bridge (or on one port) and returns once it listens."""
        command = ["tcpdump", "-i", interface, "-n", "-s", snaplen, "-B", 16384, "-Z", "root", "-w", path]
        if direction:
            command += ["-Q", direction]
        command += expression.split()
        process = subprocess.Popen(self.command(namespace, command), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, start_new_session=True)
        self.processes.append(process)
        while b"listening on" not in (line := process.stderr.readline()):
            if not line:
                raise RuntimeError(f"tcpdump did not start on {interface}")
        return process

    def stop_capture(self, process, settle=1.5):
        time.sleep(settle)  # the last frames wait in the kernel's buffer
        process.send_signal(signal.SIGINT)
        report = process.stderr.read().decode()
        process.wait(10)
        return report

    # -- building --------------------------------------------------------------------------------------------------------

    def _namespace(self, name, users=()):
        overlay = Path("/etc/netns") / self.ns(name)
        overlay.mkdir(parents=True, exist_ok=True)
        (overlay / "resolv.conf").write_text(f"nameserver {self.lan}.1\noptions timeout:2 attempts:2\n")
        (overlay / "hosts").write_text("127.0.0.1 localhost\n")
        if users:
            self._accounts(overlay, users)
        sh("ip", "netns", "add", self.ns(name))
        sh("ip", "-n", self.ns(name), "link", "set", "lo", "up")

    def _accounts(self, overlay, users):
        passwd, shadow, group = (Path("/etc", file).read_text() for file in ("passwd", "shadow", "group"))
        for number, (user, password) in enumerate(users.items(), start=4000):
            digest = sh("openssl", "passwd", "-6", password).stdout.strip()
            home = self.state / f"home-{number}"
            home.mkdir(mode=0o755, exist_ok=True)
            self.state.chmod(0o755)
            os.chown(home, number, number)
            drop = lambda text: "".join(line + "\n" for line in text.splitlines() if not line.startswith(user + ":"))
            passwd = drop(passwd) + f"{user}:x:{number}:{number}::{home}:/bin/sh\n"
            shadow = drop(shadow) + f"{user}:{digest}:19000:0:99999:7:::\n"
            group = drop(group) + f"{user}:x:{number}:\n"
        (overlay / "passwd").write_text(passwd)
        (overlay / "group").write_text(group)
        (overlay / "shadow").write_text(shadow)
        (overlay / "shadow").chmod(0o600)

    def _internet(self):
        self._namespace("internet")
        sh("ip", "-n", self.ns("gateway"), "link", "add", "wan0", "type", "veth", "peer", "name", "eth0", "netns",
           self.ns("internet"))
        for name, interface, address in (("gateway", "wan0", "100.64.0.2/24"), ("internet", "eth0", "100.64.0.1/24")):
            self._plain_offloads(name, interface)
            sh("ip", "-n", self.ns(name), "address", "add", address, "dev", interface)
            sh("ip", "-n", self.ns(name), "link", "set", interface, "up")
        sh("ip", "-n", self.ns("gateway"), "route", "add", "default", "via", "100.64.0.1")
        sh("ip", "-n", self.ns("internet"), "route", "add", f"{self.lan}.0/24", "via", "100.64.0.2")
        for prefix in self.INTERNET:  # every address of these is the internet's own
            sh("ip", "-n", self.ns("internet"), "route", "add", "local", prefix, "dev", "lo")
        for interface in ("all", "eth0"):  # spoofed sources are part of the play
            for name in ("gateway", "internet"):
                self._in(name, "sysctl", "-qw", f"net.ipv4.conf.{interface}.rp_filter=0")

    def _in(self, name, *command):
        return sh(*self.command(name, command))

    def _plain_offloads(self, name, interface):
        self._in(name, "ethtool", "-K", interface, "tx", "off", "rx", "off", "tso", "off", "gso", "off", "gro", "off")

    def _remove_leftovers(self):
        listed = sh("ip", "netns", "list").stdout.split("\n")
        for name in (line.split()[0] for line in listed if line.startswith(f"lapwing.{self.tag}.")):
            for pid in sh("ip", "netns", "pids", name, check=False).stdout.split():
                if int(pid) != os.getpid():
                    try:
                        os.kill(int(pid), signal.SIGKILL)
                    except ProcessLookupError:
                        pass
            sh("ip", "netns", "delete", name, check=False)
            shutil.rmtree(Path("/etc/netns") / name, ignore_errors=True)


def end(process):
    """Ends a process and its children by their process group, gently first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            process.wait(2)
            if number == signal.SIGTERM:
                continue
        except subprocess.TimeoutExpired:
            continue
