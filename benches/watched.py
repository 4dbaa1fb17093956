"""What benches/faults.py and benches/kills.py watch: a cable between two network namespaces, the traffic over it, and `lapwing monitor` at its end."""

import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
SENDER, LISTENER, CABLE = "lapwing-faults-a", "lapwing-faults-b", "cable"
PACE = 1000  # packets per second of the captures


def shell(line, check=True):
    ran = subprocess.run(line, shell=True, capture_output=True, text=True)
    if check and ran.returncode:
        sys.exit(f"{line}: {ran.stderr.strip()}")
    return ran.stdout


def clean():
    for name in (SENDER, LISTENER):
        shell(f"ip netns del {name}", check=False)


def plug_in():
    shell(f"ip link add {CABLE} netns {SENDER} type veth peer name {CABLE} netns {LISTENER}")
    for name in (SENDER, LISTENER):
        # Frames of a capture may be longer than a cable's 1500 bytes.
        shell(f"ip -n {name} link set {CABLE} mtu 65535 up")


def build():
    clean()
    for name in (SENDER, LISTENER):
        shell(f"ip netns add {name}")
        # So that nothing is sent but captures and attacks.
        for which in ("all", "default"):
            shell(f"ip netns exec {name} sh -c 'echo 1 > /proc/sys/net/ipv6/conf/{which}/disable_ipv6'")
        shell(f"ip -n {name} link set lo up")
    plug_in()


class Monitor:
    """The program, what it says and when, its memory; the alerts in its file and when they came."""

    def __init__(self, options, folder, config, disk, model):
        self.output = disk / "alerts.jsonl"
        self.store = disk / "store"
        command = [options.lapwing, "monitor", "--interface", CABLE, "--config", config, "--output", self.output,
                   "--model", model]
        self.stores = "--store" in shell(f"{options.lapwing} monitor --help")
        if self.stores:
            command += ["--store", self.store]
        self.said, self.rss, self.fault, self.alerts, self.first, self.broken, self.cpu = [], 0, "", {}, {}, 0, 0.0
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, cwd=folder)
        self.over = threading.Event()
        self.threads = [threading.Thread(target=work) for work in (self._listen, self._sample, self._follow)]
        for thread in self.threads:
            thread.start()
        deadline = time.monotonic() + 30
        while not any("listening to" in line for _, _, line in self.said):
            if time.monotonic() > deadline or self.process.poll() is not None:
                self.process.kill()
                sys.exit(f"it does not listen: {self.said}")
            time.sleep(0.1)

    def _listen(self):
        for line in self.process.stderr:
            self.said.append((time.monotonic(), self.fault, line.strip().removeprefix("lapwing: ")))

    def _sample(self):
        while not self.over.wait(0.5):
            with contextlib.suppress(OSError):
                status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
                resident = re.search(r"VmRSS:\s+(\d+)", status)
                self.rss = max(self.rss, int(resident.group(1)) * 1024 if resident else 0)
                times = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
                self.cpu = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")

    def _follow(self):
        """Reads what is appended; goes on with the new file when the old one was moved away and read to its end."""
        file, rest = None, b""
        while True:
            over = self.over.is_set()
            if file is None and self.output.exists():
                file = open(self.output, "rb")
            if file is not None:
                new = file.read()
                *lines, rest = (rest + new).split(b"\n")
                for line in lines:
                    self._note(line)
                if not new and (not self.output.exists() or os.stat(self.output).st_ino != os.fstat(file.fileno()).st_ino):
                    file = file.close()
                    continue
            if over:
                return
            time.sleep(0.1)

    def _note(self, line):
        try:
            alert = json.loads(line)
        except ValueError:
            self.broken += 1
            return
        revisions = self.alerts.setdefault(alert["id"], {})
        if not revisions:
            self.first[alert["id"]] = (time.monotonic(), self.fault)
        revisions[alert["revision"]] = alert

    def signal(self, what):
        self.process.send_signal(what)

    def end(self):
        """Exit status, seconds it took to end, and CPU seconds."""
        begun = time.monotonic()
        self.signal(signal.SIGTERM)
        self.process.wait()
        took = time.monotonic() - begun
        self.over.set()
        for thread in self.threads:
            thread.join()
        return self.process.returncode, took, self.cpu


class Traffic:
    """Captures in turns, and attacks; both go on while faults come."""

    def __init__(self, folder, seconds, seed, pause=10):
        self.attacks, self.stopped = [], threading.Event()
        captures = []
        for packed in sorted((ROOT / "corpus").glob("*/capture.pcap*")):
            plain = folder / f"{packed.parent.name}.pcap"
            shell(f"zstd -qdf {packed} -o {plain}" if packed.suffix == ".zst" else f"cp {packed} {plain}")
            captures.append(plain)
        random.Random(seed).shuffle(captures)
        attacker = ["ip", "netns", "exec", SENDER, sys.executable, HERE / "attacker.py", CABLE, str(seconds), str(pause)]
        self.attacker = subprocess.Popen(attacker, stdout=subprocess.PIPE, text=True)
        self.threads = [threading.Thread(target=self._replay, args=(captures,)), threading.Thread(target=self._collect)]
        for thread in self.threads:
            thread.start()

    def _replay(self, captures):
        place = 0
        while not self.stopped.wait(0.5):
            capture = captures[place % len(captures)]
            self.player = subprocess.Popen(["ip", "netns", "exec", SENDER, "tcpreplay", "-q", f"--pps={PACE}", "-i", CABLE, capture],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.player.wait(60)
            self.player.kill()
            self.player.wait()
            place += 1

    def _collect(self):
        self.attacks.extend(json.loads(line) for line in self.attacker.stdout)

    def stop(self):
        self.attacker.kill()
        self.end()

    def end(self):
        self.attacker.wait()
        self.stopped.set()
        self.player.kill()
        for thread in self.threads:
            thread.join()
