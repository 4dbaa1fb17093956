"""What lies beside a capture: scenario.toml for the tests, README.md for people, both from the list of behaviours."""

import json
import shutil
import subprocess
import tomllib
from pathlib import Path

WORTH_COMPRESSING = 100_000  # bytes


def finish(behaviour, raw: Path, folder: Path, shown):
    """Moves the capture into its folder and writes down what only the recording knows."""
    target = folder / behaviour.file
    for old in (target, Path(f"{target}.zst")):
        old.unlink(missing_ok=True)
    shorten(raw, behaviour.cuts)
    facts = measure(raw)
    if behaviour.compress and raw.stat().st_size > WORTH_COMPRESSING:
        target = Path(f"{target}.zst")
        subprocess.run(["zstd", "-q", "-19", str(raw), "-o", str(target)], check=True)
    else:
        shutil.copyfile(raw, target)
    target.chmod(0o644)
    facts |= {"capture": target.name, "commands": list(shown), "tools": versions(behaviour.tools)}
    write_scenario(behaviour, folder, facts)


def measure(raw):
    lines = subprocess.run(["tshark", "-r", str(raw), "-T", "fields", "-e", "frame.time_epoch"], capture_output=True, text=True,
                           check=True).stdout.split()
    if not lines:
        raise RuntimeError("the capture is empty")
    times = [float(line) for line in lines]
    return {"packets": len(times), "seconds": round(max(times) - min(times), 1)}


def versions(packages):
    """Name and version of each Debian package that took part."""
    if not packages:
        return []
    listed = subprocess.run(["dpkg-query", "-W", "-f", "${Package} ${Version}\n", *packages], capture_output=True, text=True).stdout
    return [line for line in listed.split("\n") if line]


def value(thing):
    """A TOML value: JSON's strings, numbers and arrays are TOML's too."""
    return json.dumps(list(thing) if isinstance(thing, tuple) else thing, ensure_ascii=False)


def write_scenario(behaviour, folder, facts):
    lines = ["# Written by corpus/record; the fields are explained in corpus/README.md.", f"kind = {value(behaviour.kind)}",
             f"capture = {value(facts['capture'])}", f"packets = {facts['packets']}", f"seconds = {facts['seconds']}",
             f"snaplen = {behaviour.snaplen}"]
    if behaviour.kind == "benign":
        hours = round(len(behaviour.devices) * facts["seconds"] / 3600, 2)
        lines += [f"devices = {value(behaviour.devices)}", f"device_hours = {hours}"]
    if behaviour.never:
        lines.append(f"never_accused = {value(behaviour.never)}")
    lines += [f"tools = {value(facts['tools'])}", f"commands = {value(facts['commands'])}"]
    for table, alerts in (("expected", behaviour.expected), ("tolerated", behaviour.tolerated)):
        for alert in alerts:
            lines += ["", f"[[{table}]]", f"alert = {value(alert.kind)}"]
            lines += [f"by = {value(alert.by)}"] if alert.by else []
            lines += [f"against = {value(alert.against)}"] if alert.against else []
    for claim in behaviour.claims:
        lines += ["", "[[claim]]", f"text = {value(claim.text)}", f"filter = {value(claim.filter)}"]
        lines += [f"distinct = {value(claim.field)}"] if claim.field else []
        lines += [f"least = {claim.least}"] + ([f"most = {claim.most}"] if claim.most is not None else [])
    (folder / behaviour.scenario_file).write_text("\n".join(lines) + "\n")


def describe(behaviour, folder):
    """Writes README.md and scenario.toml again from the list of behaviours and what the recording wrote down."""
    scenario = folder / behaviour.scenario_file
    if not scenario.exists():
        return
    facts = tomllib.loads(scenario.read_text())
    write_scenario(behaviour, folder, facts)
    hours = ""
    if behaviour.kind == "benign":
        hours = (f"{len(behaviour.devices)} devices × {facts['seconds'] / 3600:.2f} h = "
                 f"{len(behaviour.devices) * facts['seconds'] / 3600:.1f} device-hours: {', '.join(behaviour.devices)}.\n\n")
    text = [f"# {behaviour.name}", "", "## What it shows", "", behaviour.shows, ""]
    if hours:
        text += [hours.rstrip(), ""]
    text += ["## What has to come of it", ""]
    text += [f"- `{alert.kind}`" + (f" by {alert.by}" if alert.by else "") +
             (f" against {', '.join(alert.against)}" if alert.against else "") for alert in behaviour.expected]
    if not behaviour.expected:
        text += ["- No alert."] if not behaviour.tolerated else []
    for alert in behaviour.tolerated:
        about = f" by {alert.by}" if alert.by else f" against {', '.join(alert.against)}"
        text.append(f"- `{alert.kind}`{about} may be raised" + (", at most as `low`." if behaviour.kind == "benign" else "."))
    text += [f"- Nobody accuses {', '.join(behaviour.never)}."] if behaviour.never else []
    text += ["", "## How it was recorded", "",
             f"`corpus/record {behaviour.name}`: {facts['packets']:,} packets in {facts['seconds']:,.1f} s, "
             f"{'whole frames' if behaviour.snaplen > 65535 else f'the first {behaviour.snaplen} bytes of each frame'}, on the switch "
             "of the network of namespaces that `corpus/README.md` describes." + (f" {behaviour.note}" if behaviour.note else "") +
             "".join(f" Frames that match `{expression}` are cut at {length} bytes." for expression, length in behaviour.cuts), ""]
    if facts["tools"]:
        text += ["Debian packages: " + ", ".join(facts["tools"]) + ".", ""]
    if facts["commands"]:
        text += ["```text", *facts["commands"], "```", ""]
    if behaviour.claims:
        text += ["`corpus/check` counts that it holds:", ""] + [f"- {claim.text}: {bounds(claim)}" for claim in behaviour.claims] + [""]
    text += ["## Licence", "", "Our own recording, MIT OR Apache-2.0, as the rest of the repository."]
    (folder / behaviour.readme_file).write_text("\n".join(text) + "\n")


def bounds(claim):
    if claim.most is None:
        return f"at least {claim.least:,}"
    return f"{claim.least:,}" if claim.least == claim.most else f"{claim.least:,} to {claim.most:,}"


def shorten(capture, cuts):
    """Cuts the frames that match each capture filter to its length; frames that match none stay as they are."""
    if not cuts:
        return
    parts, rest = [], []
    for number, (expression, length) in enumerate((*cuts, ("", 262144))):
        part = capture.with_suffix(f".part{number}")
        wanted = " and ".join([f"({expression})"] * bool(expression) + [f"not ({one})" for one in rest])
        subprocess.run(["tcpdump", "-r", str(capture), "-w", str(part), *wanted.split()], check=True, capture_output=True)
        subprocess.run(["editcap", "-F", "pcap", "-s", str(length), str(part), f"{part}.cut"], check=True)
        parts.append(f"{part}.cut")
        rest.append(expression)
    subprocess.run(["mergecap", "-F", "pcap", "-w", str(capture), *parts], check=True)


def merge(capture, other):
    """Puts the frames of `other` in their place by time into `capture`."""
    merged = capture.with_suffix(".merged")
    subprocess.run(["mergecap", "-F", "pcap", "-w", str(merged), str(capture), str(other)], check=True)
    merged.replace(capture)
