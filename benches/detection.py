#!/usr/bin/env python3
"""Scans the corpus and the labelled sample captures, and prints what was found beside what had to be found.

    cargo build --release
    benches/detection.py [DATA] [--markdown]      DATA defaults to LAPWING_DATA; without it the corpus alone

An attack passes if one of the kinds named is raised (in the corpus: every alert that scenario.toml expects, against the
right hosts, and no bystander accused). A benign capture passes if it raises no alert of high or critical severity and at
most one lower one. Shipped signatures alone, no model, so that nothing is learnt from what is judged; first-look/suspicious
is scanned with its baseline, as in README. Exit status 1 if any failed that is not known to. Python 3.11+, no package.
"""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tomllib
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
SEVERE = ("high", "critical")

# Capture (below DATA/pcap) and the kinds of which one has to be raised.
ATTACKS = [
    ("attack/synscan.pcapng", {"port-scan"}),
    ("attack/nmapSV.pcap", {"port-scan", "service-discovery"}),
    # nmap asks the link for 254 hosts by ARP, and then tries two ports of the six that answer: two are no scan of a host.
    ("attack/nmap-vsn.pcap", {"port-scan", "service-discovery", "network-scan", "arp-sweep"}),
    ("attack/port_scan.pcap", {"port-scan", "slow-scan", "network-scan"}),
    ("slips/test12-icmp-portscan.pcap", {"host-sweep"}),
    ("attack/arppoison.pcapng", {"arp-spoofing"}),
    ("attack/bruteforce.pcap", {"brute-force"}),
    ("ddos/pkt.TCP.synflood.spoofed.pcap", {"syn-flood"}),
    ("ddos/amp.dns.RRSIG.fragmented.pcap", {"amplification"}),
    ("ddos/amp.UDP.snmp.src161.pcapng", {"amplification"}),
    ("ddos/amp.TCP.reflection.SYNACK.pcap", {"tcp-reflection"}),
    ("mqttset/bruteforce-train.pcapng", {"brute-force"}),
    ("mqttset/flood-train.pcap", {"mqtt-flood", "connection-flood"}),
    ("mqttset/malariados-train.pcap", {"mqtt-flood", "connection-flood"}),
    ("mqttset/slowite-train.pcap", {"slow-requests"}),
]
# Folders and captures of ordinary traffic.
BENIGN = ["benign", "dns-normal", "iot-sentinel", "mqttset/benign-5mb-train.pcap"]
# The victim of a spoofed flood answers many strangers: no scan of its own.
BACKSCATTER = ("other/backscatter.trace", {"port-scan", "slow-scan", "network-scan", "host-sweep", "service-discovery"})

Row = collections.namedtuple("Row", "name expected alerts passed note")


def scan(lapwing, path, *more):
    """The alerts of one capture, or a sentence about why there are none."""
    command = [lapwing, "scan", path, "--format", "json", "--threads", "1", *more]
    ran = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if ran.returncode != 0:
        lines = ran.stderr.decode(errors="replace").strip().splitlines()
        return [], f"exit status {ran.returncode}: {lines[-1] if lines else ''}"
    return json.loads(ran.stdout)["alerts"], ""


def found(alerts):
    """Kinds with severities, and how many of each."""
    counts = collections.Counter((alert["kind"], alert["severity"]) for alert in alerts)
    return ", ".join(f"{kind} ({severity}{f', {n} alerts' if n > 1 else ''})" for (kind, severity), n in sorted(counts.items())) or "none"


def quiet(alerts):
    return not any(alert["severity"] in SEVERE for alert in alerts) and len(alerts) <= 1


def stored(data, name):
    """The capture as it is stored: plain or compressed."""
    return next((path for path in (data / name, data / f"{name}.zst") if path.exists()), None)


def attack_row(lapwing, data, name, kinds):
    alerts, note = scan(lapwing, stored(data, name))
    return Row(name, " or ".join(sorted(kinds)), found(alerts), any(alert["kind"] in kinds for alert in alerts), note)


def benign_row(lapwing, data, path):
    alerts, note = scan(lapwing, path)
    name = str(path.relative_to(data)).removesuffix(".zst")
    return Row(name, "silence", found(alerts), quiet(alerts) and not note, note)


def backscatter_row(lapwing, data, name, kinds):
    alerts, note = scan(lapwing, stored(data, name))
    return Row(name, "no scan", found(alerts), not note and not any(alert["kind"] in kinds for alert in alerts), note)


def hosts(alert):
    return {alert["device"], *alert["peers"]}


def names_by_arp(path):
    """The IPv4 address that each link-layer address claimed first: alerts about the link name devices by the latter."""
    packed = path.suffix == ".zst"
    data = subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout if packed else path.read_bytes()
    names, at = {}, 24  # corpus captures are little-endian pcap with microseconds, Ethernet
    while at + 16 <= len(data):
        kept = int.from_bytes(data[at + 8:at + 12], "little")
        frame = data[at + 16:at + 16 + kept]
        if frame[12:14] == b"\x08\x06" and any(frame[28:32]):
            names.setdefault(frame[22:28].hex(":"), ".".join(map(str, frame[28:32])))
        at += 16 + kept
    return names


def raised(expected, alerts, names):
    """Whether an alert says what scenario.toml expects: its kind, who did it, who suffered."""
    by, against = expected.get("by"), set(expected.get("against", []))
    return any(
        alert["kind"] == expected["alert"]
        and (by is None or by == names.get(alert["device"], alert["device"]))
        and (not against or hosts(alert) & against)
        for alert in alerts
    )


def accused(scenario, alerts, names):
    """Bystanders, and victims of the link, that an alert is about. Where nobody is named as the one who did it, the alert is
    about the victim."""
    stated = scenario.get("expected", []) + scenario.get("tolerated", [])
    victims = {(one["alert"], host) for one in stated if "by" not in one for host in one.get("against", [])}
    never = set(scenario.get("never_accused", []))
    suffer = {host for one in stated if one["alert"] == "arp-spoofing" for host in one.get("against", [])}
    wronged = set()
    for alert in alerts:
        host = names.get(alert["device"], alert["device"])
        if (host in never and (alert["kind"], host) not in victims) or (host in suffer and alert["kind"] == "arp-spoofing"):
            wronged.add(f"{alert['kind']} of {host}")
    return sorted(wronged)


# Rows that fail and are known to: they stand in the table as failures, and in docs/scorecard.md, but do not stop a change. A row that
# begins to pass has to leave this list.
KNOWN_FAILURES = {"first-look/suspicious"}


def corpus_row(lapwing, path):
    scenario = tomllib.loads(path.read_text())
    name = path.parent.name if path.name == "scenario.toml" else f"{path.parent.name}/{path.stem}"
    baseline = path.parent / "clean.pcap"
    more = ["--baseline", baseline] if scenario["kind"] == "attack" and baseline.exists() else []
    alerts, note = scan(lapwing, path.parent / scenario["capture"], *more)
    if note:
        return Row(name, "", "", False, note)
    if scenario["kind"] == "benign":
        allowed = {one["alert"] for one in scenario.get("tolerated", [])}
        silent = all(alert["kind"] in allowed and alert["severity"] in ("informational", "low") for alert in alerts)
        return Row(name, "silence" + (f" (tolerated: {', '.join(sorted(allowed))})" if allowed else ""), found(alerts), silent, "")
    names = names_by_arp(path.parent / scenario["capture"])
    missing = [one["alert"] for one in scenario.get("expected", []) if not raised(one, alerts, names)]
    wronged = accused(scenario, alerts, names)
    notes = [f"missing: {', '.join(missing)}"] * bool(missing) + [f"accused: {', '.join(wronged)}"] * bool(wronged)
    wanted = ", ".join(sorted({one["alert"] for one in scenario.get("expected", [])})) or "nobody accused"
    return Row(name, wanted, found(alerts), not missing and not wronged, "; ".join(notes))


def benign_captures(data):
    for name in BENIGN:
        path = stored(data, name)
        if path and path.is_dir():
            yield from (one for one in sorted(path.rglob("*")) if one.is_file() and ".pcap" in one.name)
        elif path:
            yield path


def table(title, rows, markdown, every):
    shown = [row for row in rows if every or not row.passed or row.alerts != "none"]
    passed = sum(row.passed for row in rows)
    print(f"\n{'### ' if markdown else ''}{title}: {passed} of {len(rows)}\n")
    if markdown and shown:
        print("| capture | expected | alerts | |\n|---|---|---|---|")
    for row in shown:
        verdict = "yes" if row.passed else "**no**" if markdown else "NO"
        verdict += f": {row.note}" if row.note else ""
        print((f"| {row.name} | {row.expected} | {row.alerts} | {verdict} |") if markdown
              else f"{row.name:44} {verdict}\n    expected {row.expected}; found {row.alerts}")
    if len(shown) < len(rows):
        print(f"\nThe other {len(rows) - len(shown)} raise no alert.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=pathlib.Path, default=os.environ.get("LAPWING_DATA") or None)
    parser.add_argument("--lapwing", type=pathlib.Path, default=ROOT / "target" / "release" / "lapwing")
    parser.add_argument("--markdown", action="store_true", help="prints tables as docs/scorecard.md has them")
    options = parser.parse_args()
    lapwing = options.lapwing
    jobs = [("Corpus", True, corpus_row, [(lapwing, path) for path in sorted(ROOT.glob("corpus/*/*.toml"))])]
    if options.data:
        data = pathlib.Path(options.data) / "pcap"
        attacks = [(lapwing, data, *one) for one in ATTACKS if stored(data, one[0])]
        jobs.append(("Attacks of the sample data", True, attack_row, attacks))
        jobs.append(("Ordinary traffic of the sample data", False, benign_row, [(lapwing, data, path) for path in benign_captures(data)]))
        jobs.append(("Backscatter", True, backscatter_row, [(lapwing, data, *BACKSCATTER)] if stored(data, BACKSCATTER[0]) else []))
    else:
        print("sample data: skipped, LAPWING_DATA is not set", file=sys.stderr)
    failed, known = 0, set()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for title, every, judge, cases in jobs:
            rows = list(pool.map(lambda case: judge(*case), cases))
            table(title, rows, options.markdown, every)
            known |= {row.name for row in rows if not row.passed} & KNOWN_FAILURES
            failed += sum(not row.passed and row.name not in KNOWN_FAILURES for row in rows)
    passing = KNOWN_FAILURES - known
    print(f"\n{failed} failed, {len(known)} known failures" + (f"; no longer failing: {', '.join(sorted(passing))}" if passing else ""))
    sys.exit(failed > 0 or bool(passing))


if __name__ == "__main__":
    main()
