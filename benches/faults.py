#!/usr/bin/env python3
"""Runs `lapwing monitor` while what it depends on fails, and says what was lost.

    benches/faults.py --seconds 3600 [--lapwing target/release/lapwing] [--step-clock] [--seed 1]

Needs root, iproute2, tcpreplay and zstd. Makes two network namespaces with a cable between them. Over it go the captures of
corpus/, one after the other, and every ten seconds an attack from an address of its own (attacker.py). Meanwhile faults come
one after the other, in an order that the seed gives: receivers that are down, hang or refuse (receivers.py), a full disk under
alerts, spool and store, an interface that goes down or is removed and made anew, rules and models to reload that are broken,
gone or good, and with --step-clock the machine's clock set ahead by ten minutes and back after 20 s.

At the end it compares: every attack has its alert, those apart that were sent while the interface was away; the last revision
of every alert in the file has reached every receiver, and the store; times of alerts are those of a clock that nobody set.
Prints tables in Markdown; exit status 1 if something is missing.
"""

import argparse
import contextlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

from receivers import Broker, Syslog, Webhook
from watched import CABLE, HERE, LISTENER, ROOT, Monitor, Traffic, build, clean, plug_in, shell

DISK = 96 << 20  # bytes of the small file system
CLOCK_STEP = 600  # seconds
CALM = 12  # seconds between faults
SETTLING = 6  # seconds after a fault that are still counted as its own
SETTINGS = """
[signatures]
folders = ["{rules}"]
[delivery]
sensor = "faults"
spool = "{disk}/spool"
spool_megabytes = 16
[sinks.hook]
longest_retry_seconds = 5
webhook = {{ url = "http://127.0.0.1:{hook}/", timeout_seconds = 5 }}
[sinks.siem]
longest_retry_seconds = 5
syslog = {{ address = "127.0.0.1:{siem}", transport = "tcp", timeout_seconds = 5 }}
[sinks.home]
longest_retry_seconds = 5
mqtt = {{ address = "127.0.0.1:{home}", timeout_seconds = 5 }}
"""
RULE = """title: A rule that says nothing
id: 7d1c0c1e-0000-4000-8000-000000000001
logsource: {product: zeek, service: conn}
detection: {never: {service: none-of-this-name}, condition: never}
level: low
"""


class Faults:
    """Each is a pair: what breaks it, and what mends it."""

    def __init__(self, monitor, receivers, disk, rules, model):
        self.monitor, self.receivers, self.disk, self.rules, self.model = monitor, receivers, disk, rules, model
        self.away = []  # when the interface was
        self.moved = 0

    def all(self, step_clock):
        faults = {
            f"{name} {words}": (lambda receiver=receiver, mode=mode: receiver.set(mode), lambda receiver=receiver: receiver.set("up"))
            for name, receiver in self.receivers.items()
            for mode, words in (("down", "is down"), ("hang", "accepts and never answers"))
        }
        hook = self.receivers["webhook"]
        faults |= {
            "webhook answers 503": (lambda: hook.set("refuse"), lambda: hook.set("up")),
            "all receivers are down": (lambda: self.each("down"), lambda: self.each("up")),
            "disk full under alerts, spool and store": (self.fill, (self.disk / "filler").unlink),
            "interface down and up": (lambda: self.gone(f"ip -n {LISTENER} link set {CABLE} down"),
                                      lambda: self.back(lambda: shell(f"ip -n {LISTENER} link set {CABLE} up"))),
            "interface removed and made anew": (lambda: self.gone(f"ip -n {LISTENER} link del {CABLE}"), lambda: self.back(plug_in)),
            "reload with a broken rule": (lambda: self.reload("detection: ["), lambda: (self.rules / "rule.yml").unlink()),
            "reload with a good rule, alerts' file moved away": (self.move_and_reload, lambda: (self.rules / "rule.yml").unlink()),
            "reload with a broken model": (self.break_model, self.mend_model),
            "reload with the rules' folder gone": (self.hide_rules, lambda: self.rules.with_name("hidden").rename(self.rules)),
        }
        if step_clock:
            faults["clock ten minutes ahead, and back"] = (lambda: step(CLOCK_STEP), lambda: step(-CLOCK_STEP))
        return faults

    def each(self, mode):
        for receiver in self.receivers.values():
            receiver.set(mode)

    def fill(self):
        with open(self.disk / "filler", "wb") as filler, contextlib.suppress(OSError):
            while True:
                os.write(filler.fileno(), bytes(1 << 16))

    def gone(self, line):
        self.away.append([time.monotonic(), float("inf")])
        shell(line)

    def back(self, mend):
        mend()
        # Looked for once a second.
        self.away[-1][1] = time.monotonic() + 3

    def reload(self, rule):
        (self.rules / "rule.yml").write_text(rule)
        self.monitor.signal(signal.SIGHUP)

    def move_and_reload(self):
        self.moved += 1
        self.monitor.output.rename(self.monitor.output.with_suffix(f".{self.moved}"))
        self.reload(RULE)

    def break_model(self):
        self.model.rename(self.model.with_suffix(".whole"))
        whole = self.model.with_suffix(".whole").read_bytes()
        self.model.write_bytes(whole[:len(whole) // 2])
        self.monitor.signal(signal.SIGHUP)

    def mend_model(self):
        self.model.with_suffix(".whole").rename(self.model)
        self.monitor.signal(signal.SIGHUP)

    def hide_rules(self):
        self.rules.rename(self.rules.with_name("hidden"))
        self.monitor.signal(signal.SIGHUP)


def step(seconds):
    time.clock_settime(time.CLOCK_REALTIME, time.clock_gettime(time.CLOCK_REALTIME) + seconds)


def order(names, seconds, generator):
    """Rounds of all faults, as many as fit: name, and how long it lasts."""
    left, planned = seconds - 2 * CALM, []
    while left > 0:
        for name in generator.sample(names, len(names)):
            lasts = 20 if "clock" in name or "disk" in name else 2 if "reload" in name else generator.choice([10, 15, 20, 30])
            left -= lasts + CALM
            if left < 0:
                return planned
            planned.append((name, lasts))
    return planned


def train(options, folder):
    """A model, of whatever home: it is there to be read anew."""
    folder.mkdir()
    capture, model = folder / "capture.pcap", folder / "home.lapwing"
    shell(f"zstd -qdf {ROOT}/corpus/benign-home/capture.pcap.zst -o {capture}")
    shell(f"{options.lapwing} train {capture} --output {model}")
    return model


def run(options, folder):
    disk, rules = folder / "disk", folder / "rules"
    disk.mkdir()
    rules.mkdir()
    model = train(options, folder / "models")
    shell(f"mount -t tmpfs -o size={DISK} lapwing-faults {disk}")
    receivers = {"webhook": Webhook(18080), "syslog": Syslog(16514), "mqtt": Broker(11883)}
    config = folder / "lapwing.toml"
    config.write_text(SETTINGS.format(rules=rules, disk=disk, hook=18080, siem=16514, home=11883))
    # What the time would be if nobody set the clock.
    even = time.time() - time.monotonic()
    monitor = Monitor(options, folder, config, disk, model)
    traffic = Traffic(folder, options.seconds, options.seed)
    faults = Faults(monitor, receivers, disk, rules, model)
    actions = faults.all(options.step_clock)
    injected = []
    for name, lasts in order(sorted(actions), options.seconds, random.Random(options.seed)):
        time.sleep(CALM - SETTLING)
        if monitor.process.poll() is not None:
            break
        print(f"{time.strftime('%H:%M:%S')} {name}, {lasts} s", file=sys.stderr, flush=True)
        breaks, mends = actions[name]
        begun = time.monotonic()
        monitor.fault = name
        breaks()
        try:
            time.sleep(lasts)
        finally:
            mends()
        time.sleep(SETTLING)
        monitor.fault = ""
        injected.append((name, begun, time.monotonic() - SETTLING))
    traffic.end()
    # What rests on how connections ended, and what waits for receivers to be tried again.
    time.sleep(15)
    ended = monitor.end()
    return monitor, traffic.attacks, faults, receivers, injected, ended, even


def stored(options, monitor):
    """Revision by id in the store."""
    text = shell(f"{options.lapwing} query alerts --store {monitor.store} --format jsonl --limit 0")
    return {alert["id"]: alert["revision"] for alert in map(json.loads, text.splitlines())}


def judge(options, monitor, attacks, faults, receivers, injected, ended, even):
    """Prints the report; returns how many things are wrong."""
    status, took, cpu = ended
    wrong = []
    last = {name: max(revisions) for name, revisions in monitor.alerts.items()}
    found = {}
    for name, revisions in monitor.alerts.items():
        alert = next(iter(revisions.values()))
        found[alert["kind"], alert["device"]] = name
        for peer in alert["peers"]:
            found.setdefault((alert["kind"], peer), name)
    def overlaps(attack, begun, ended):
        return attack["begun"] < ended and begun < attack["ended"] + 1
    excepted = [attack for attack in attacks if attack["failed"] or any(overlaps(attack, *times) for times in faults.away)]
    missed = [attack for attack in attacks if attack not in excepted and (attack["kind"], attack["address"]) not in found]
    if missed:
        wrong.append(f"attacks without alert: {[(attack['number'], attack['kind'], attack['address']) for attack in missed[:9]]}")

    print(f"{options.seconds} s, seed {options.seed}: {len(injected)} faults; {len(attacks)} attacks, {len(excepted)} of them while the "
          f"interface was away, {len(attacks) - len(excepted) - len(missed)} of the other {len(attacks) - len(excepted)} found; "
          f"{len(last)} alerts in {sum(map(len, monitor.alerts.values()))} revisions; peak RSS {monitor.rss / 1e6:.0f} MB, "
          f"{cpu:.0f} s of CPU; exit status {status}, {took:.1f} s after SIGTERM\n")
    print("| fault | times | seconds | attacks meanwhile | sent to no interface | found | what it said |\n"
          "|---|---:|---:|---:|---:|---:|---|")
    for fault in sorted({name for name, _, _ in injected}):
        times = [(begun, ended) for name, begun, ended in injected if name == fault]
        meanwhile = [attack for attack in attacks if any(overlaps(attack, *when) for when in times)]
        count = sum(attack not in missed and attack not in excepted for attack in meanwhile)
        unseen = sum(attack in excepted for attack in meanwhile)
        said = dict.fromkeys(re.sub(r"\d+(\.\d+)?", "N", line) for _, when, line in monitor.said if when == fault)
        print(f"| {fault} | {len(times)} | {sum(ended - begun for begun, ended in times):.0f} | {len(meanwhile)} | {unseen} | {count} | "
              f"{'; '.join(said) or 'nothing'} |")

    print("\n| receiver | revisions | more than once | last revisions missing | revisions missing |\n|---|---:|---:|---:|---:|")
    written = {(name, revision) for name, revisions in monitor.alerts.items() for revision in revisions}
    for name, receiver in receivers.items():
        got = receiver.confirmed
        lost = [alert for alert, revision in last.items() if (alert, revision) not in got]
        others = len(written - got.keys())
        print(f"| {name} | {len(got)} | {sum(count > 1 for count in got.values())} | {len(lost)} | {others} |")
        if lost:
            wrong.append(f"{name} lacks the last revision of {len(lost)} alerts, {lost[:3]} …")
        if got.keys() - written:
            wrong.append(f"{name} got {len(got.keys() - written)} revisions that the file does not have")
    if monitor.stores:
        kept = stored(options, monitor)
        lost = [alert for alert, revision in last.items() if kept.get(alert, -1) < revision]
        print(f"| store | {len(kept)} alerts | | {len(lost)} | |")
        if lost:
            wrong.append(f"the store lacks the last revision of {len(lost)} alerts, {lost[:3]} …")

    # Capture time against a clock that nobody set: how much later an alert stood in the file than the packets it rests on.
    ages = []
    ours = {found.get((attack["kind"], attack["address"])) for attack in attacks} - {None}
    for name in ours:
        alert, (when, fault) = next(iter(monitor.alerts[name].values())), monitor.first[name]
        ages.append((even + when - instant(alert["last_seen"]), fault, name))
        if instant(alert["first_seen"]) > instant(alert["last_seen"]):
            wrong.append(f"alert {name} ends before it begins")
    calm = sorted(age for age, fault, _ in ages if "disk" not in fault and "moved" not in fault)
    print(f"\nfrom an attack's last packet to its alert in the file: median {calm[len(calm) // 2]:.1f} s, 99 % within "
          f"{calm[len(calm) * 99 // 100]:.1f} s, at most {calm[-1]:.1f} s (a full disk left out)")
    if calm[0] < -2 or calm[-1] > 30:
        wrong.append(f"times of alerts are off: {calm[0]:.1f} s to {calm[-1]:.1f} s")
    early = [name for name, revisions in monitor.alerts.items() if closed_early(revisions)]
    if early:
        wrong.append(f"{len(early)} alerts were closed before they were quiet for an hour")
    if monitor.broken:
        wrong.append(f"{monitor.broken} lines of the file are no alerts")
    if status != 0 or took > 5.5 or any("panicked" in line for _, _, line in monitor.said):
        wrong.append(f"it ended with status {status} after {took:.1f} s: {[line for _, _, line in monitor.said[-5:]]}")
    for line in [line for _, fault, line in monitor.said if not fault][:40]:
        print(f"    outside of faults: {line}", file=sys.stderr)
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return len(wrong)


def instant(text):
    """Seconds since 1970."""
    from datetime import datetime
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def closed_early(revisions):
    """Whether it was closed and went on, which no alert of a run shorter than an hour should."""
    closed = [revision for revision, alert in revisions.items() if alert["status"] == "closed"]
    return bool(closed) and min(closed) < max(revisions)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=int, default=300)
    arguments.add_argument("--lapwing", type=pathlib.Path, default=ROOT / "target" / "release" / "lapwing")
    arguments.add_argument("--step-clock", action="store_true", help="set the machine's clock, for 20 s each time")
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    options.lapwing = options.lapwing.resolve()
    if not options.inside:
        build()
        try:
            # Again, from inside the listener's namespace, whose mounts go with it.
            ran = subprocess.run(["ip", "netns", "exec", LISTENER, sys.executable, HERE / "faults.py", *sys.argv[1:], "--inside"])
        finally:
            clean()
        sys.exit(ran.returncode)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = run(options, pathlib.Path(folder))
            wrong = judge(options, *result)
        finally:
            shell(f"umount -l {folder}/disk", check=False)
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()
