#!/usr/bin/env python3
"""`lapwing serve` under load: a live capture, dashboards, and clients that ask as fast as they are answered.

    benches/load.py [--lapwing target/release/lapwing] [--capture C.pcap] [--rate 20000] [--seconds 10] [--clients 50] [--connections 8]

Fills a store with 100,000 alerts and the roll-ups of a month (crates/store/examples/filled_store.rs), makes two network namespaces
with a cable between them (root, iproute2, tcpreplay, wrk), and serves in one of them what comes over the cable at a steady rate.
First nobody asks; then so many dashboards listen at /ws and wrk asks each route in turn, with so many connections for so many
seconds. Prints for each route how long the first answer takes and the latencies of the others, frames lost with and without clients, and the peak of the process's anonymous
memory. Fails where the slowest of a hundred answers takes 50 ms or more, where clients cost frames, or where memory goes beyond 250 MB.
All of it shares the machine: sender, server, dashboards and wrk.
"""

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time

import watched
from memory import rss_anon
from watched import CABLE, ROOT, build, clean, shell

SENDER, LISTENER = watched.SENDER, watched.LISTENER = "lapwing-load-a", "lapwing-load-b"
ADDRESS, PASSWORD = "127.0.0.1:8765", "correct horse battery"
MOST_MEMORY, MOST_WAIT = 250e6, 0.050
DAY = 86_400


def routes(end):
    """What dashboards ask for, of the last hour, day and month."""
    def stamp(ago):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(end - ago))

    month, day = f"since={stamp(30 * DAY)}&until={stamp(0)}", f"since={stamp(DAY)}&until={stamp(0)}"
    return [
        "/api/v1/overview",
        "/api/v1/stats",
        "/api/v1/attack-summary",
        "/api/v1/alerts",
        "/api/v1/alerts?severity=critical&limit=500",
        "/api/v1/alerts?status=open&min_severity=high",
        f"/api/v1/alerts?attack_type=Port%20Scan&{month}",
        f"/api/v1/alerts/counts?group=kind&{month}",
        f"/api/v1/alerts/counts?group=device&{day}",
        f"/api/v1/statistics/traffic?{month}",
        f"/api/v1/statistics/alerts?{month}",
        f"/api/v1/statistics/talkers?{month}",
        f"/api/v1/statistics/talkers?{day}",
        "/api/v1/devices",
        "/api/v1/flows",
    ]


def fill(folder, options, end):
    example = ["cargo", "build", "--release", "-q", "-p", "lapwing-store", "--example", "filled_store"]
    subprocess.run(example, check=True, cwd=ROOT)
    target = os.environ.get("CARGO_TARGET_DIR", ROOT / "target")
    environment = dict(os.environ, LAPWING_BENCH_STORE=folder, LAPWING_BENCH_STORE_END=str(end))
    command = [f"{target}/release/examples/filled_store", str(options.flows), str(options.alerts)]
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)


def within(command):
    return ["ip", "netns", "exec", LISTENER, *command]


class Server:
    """The program, the peak of its memory, and a token for it."""

    def __init__(self, options, folder):
        command = [options.lapwing, "serve", "--listen", ADDRESS, "--data-dir", folder, "--interface", CABLE]
        self.process = subprocess.Popen(within(command), stderr=subprocess.PIPE, text=True)
        code = None
        while code is None:
            line = self.process.stderr.readline()
            if not line:
                sys.exit("the server did not start")
            found = re.search(r"setup\?code=(\S+)", line)
            code = found and found.group(1)
        threading.Thread(target=self.process.stderr.read, daemon=True).start()
        self.token = None
        account = {"code": code, "username": "admin", "password": PASSWORD}
        session = self.ask("POST", "/auth/setup", account)["token"]
        self.token = session
        self.token = self.ask("POST", "/api/v1/tokens", {"name": "load", "role": "viewer"})["token"]
        self.peak, self.over = 0, threading.Event()
        threading.Thread(target=self.sample, daemon=True).start()

    def ask(self, method, path, body=None):
        command = ["curl", "-sS", "-X", method, f"http://{ADDRESS}{path}"]
        if self.token:
            command += ["-H", f"Authorization: Bearer {self.token}"]
        if body is not None:
            command += ["-H", "Content-Type: application/json", "-d", json.dumps(body)]
        return json.loads(subprocess.run(within(command), check=True, capture_output=True, text=True).stdout)

    def sample(self):
        while not self.over.wait(0.05):
            self.peak = max(self.peak, rss_anon(self.process.pid))

    def frames(self):
        coverage = self.ask("GET", "/api/v1/coverage")
        return coverage["received"], coverage["dropped"]

    def end(self):
        self.over.set()
        self.process.send_signal(signal.SIGINT)
        self.process.wait()


DASHBOARDS = '''
import base64, json, os, selectors, socket, sys, time
address, token, clients = sys.argv[1], sys.argv[2], int(sys.argv[3])
host, port = address.split(":")
selector, got, closed = selectors.DefaultSelector(), 0, 0
for number in range(clients):
    link = socket.create_connection((host, int(port)))
    key = base64.b64encode(os.urandom(16)).decode()
    link.sendall(f"GET /ws HTTP/1.1\\r\\nHost: {address}\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
                 f"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: {key}\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n".encode())
    assert link.recv(12) == b"HTTP/1.1 101", "not taken on"
    link.setblocking(False)
    selector.register(link, selectors.EVENT_READ)
print("listening", flush=True)
os.set_blocking(0, False)
selector.register(0, selectors.EVENT_READ)
while True:
    for key, _ in selector.select():
        if key.fd == 0:
            print(json.dumps({"bytes": got, "closed": closed}))
            sys.exit()
        data = key.fileobj.recv(1 << 20)
        got += len(data)
        if not data:
            closed += 1
            selector.unregister(key.fileobj)
'''


def first(token, path):
    """Seconds until an answer that nobody asked for before."""
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{time_total}", "-H", f"Authorization: Bearer {token}",
               f"http://{ADDRESS}{path}"]
    return float(subprocess.run(within(command), check=True, capture_output=True, text=True).stdout)


def wrk(options, token, path):
    command = ["wrk", "-t1", f"-c{options.connections}", f"-d{options.seconds}", "--latency",
               "-H", f"Authorization: Bearer {token}", f"http://{ADDRESS}{path}"]
    said = subprocess.run(within(command), check=True, capture_output=True, text=True).stdout
    scale = {"us": 1e-6, "ms": 1e-3, "s": 1.0}

    def share(percent):
        number, unit = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s)", said).groups()
        return float(number) * scale[unit]

    failed = re.search(r"(Non-2xx.*|Socket errors.*)", said)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said).group(1))
    return rate, share(50), share(99), failed and failed.group(1)


def lost_share(before, after):
    received, dropped = (after[place] - before[place] for place in (0, 1))
    return received, dropped


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lapwing", default=str(ROOT / "target/release/lapwing"))
    parser.add_argument("--capture", default=str(ROOT / "corpus/first-look/clean.pcap"))
    parser.add_argument("--rate", type=int, default=20_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--flows", type=int, default=5_000_000)
    parser.add_argument("--alerts", type=int, default=100_000)
    parser.add_argument("--keep", help="keep the filled store in this folder, or use the one that is there")
    options = parser.parse_args()
    problems = []
    with tempfile.TemporaryDirectory() as passing:
        # The filled month ends as the capture begins.
        end = int(time.time()) // 60 * 60
        folder = options.keep or passing
        store = os.path.join(folder, "store")
        if not os.path.exists(store):
            fill(store, options, end)
        build()
        server = sender = None
        try:
            server = Server(options, folder)
            pace = ["tcpreplay", "--pps", str(options.rate), "--loop", "0", "--preload-pcap", "--intf1", CABLE, options.capture]
            sender = subprocess.Popen(["ip", "netns", "exec", SENDER, *pace], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(3)
            before = server.frames()
            time.sleep(3 * options.seconds)
            alone = lost_share(before, server.frames())
            alone_peak = server.peak
            dashboards = subprocess.Popen(within([sys.executable, "-c", DASHBOARDS, ADDRESS, server.token, str(options.clients)]),
                                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            assert dashboards.stdout.readline() == "listening\n"
            before, begun = server.frames(), time.time()
            for path in routes(end):
                cold = first(server.token, path)
                rate, middle, slow, failed = wrk(options, server.token, path)
                print(f"{path:<95} first {cold * 1e3:6.1f} ms, then {rate:6.0f}/s  p50 {middle * 1e3:7.2f} ms  p99 {slow * 1e3:7.2f} ms  {failed or ''}", flush=True)
                if slow >= MOST_WAIT or failed:
                    problems.append(path)
            crowded, lasted = lost_share(before, server.frames()), time.time() - begun
            heard = json.loads(dashboards.communicate("over\n")[0])
            print(f"frames without clients: {alone[0]}, lost {alone[1]}; memory up to {alone_peak / 1e6:.0f} MB")
            print(f"frames with clients:    {crowded[0]}, lost {crowded[1]}, in {lasted:.0f} s; memory up to {server.peak / 1e6:.0f} MB")
            print(f"{options.clients} dashboards heard {heard['bytes'] / 1e6:.1f} MB, {heard['closed']} were let go")
            if crowded[1] * alone[0] > alone[1] * crowded[0] or heard["closed"]:
                problems.append("frames or dashboards lost")
            if server.peak > MOST_MEMORY:
                problems.append("memory")
        finally:
            if sender:
                sender.terminate()
                sender.wait()
            if server:
                server.end()
            clean()
    if problems:
        sys.exit("beyond what may be: " + ", ".join(problems))


if __name__ == "__main__":
    main()
