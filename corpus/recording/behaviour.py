"""The list of behaviours: what each folder of the corpus shows, who does it to whom, and how to check that it is so."""

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Alert:
    """One alert that has to be raised (or, with `tolerated`, that a hard benign capture may raise, at most `low`)."""

    kind: str
    by: str | None = None  # who did it; None when the capture cannot know (spoofed sources)
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Claim:
    """A statement of the README that tshark can count: packets, or distinct values of `field`, that match `filter`."""

    text: str
    filter: str
    least: int
    most: int | None = None
    field: str | None = None


@dataclass
class Behaviour:
    name: str
    kind: str  # "attack" or "benign"
    shows: str
    record: Callable
    expected: tuple[Alert, ...] = ()
    tolerated: tuple[Alert, ...] = ()
    never: tuple[str, ...] = ()  # addresses that no alert may accuse
    claims: tuple[Claim, ...] = ()
    tools: tuple[str, ...] = ()  # Debian packages
    devices: tuple[str, ...] = ()
    snaplen: int = 262144
    cuts: tuple[tuple[str, int], ...] = ()  # (capture filter, bytes): frames to shorten further; the first that matches counts
    note: str = ""
    file: str = "capture.pcap"
    shared_folder: str | None = None  # a folder of several captures, each under its own name
    compress: bool = True
    lan: str = "192.168.50"

    @property
    def folder(self):
        return self.shared_folder or self.name

    @property
    def tag(self):
        """The part of the namespaces' names that keeps two recordings apart."""
        return self.name

    @property
    def scenario_file(self):
        return self.file.replace(".pcap", ".toml") if self.shared_folder else "scenario.toml"

    @property
    def readme_file(self):
        return self.file.replace(".pcap", ".md") if self.shared_folder else "README.md"


BEHAVIOURS: dict[str, Behaviour] = {}


def behaviour(name, kind, shows, **details):
    def register(function):
        BEHAVIOURS[name] = Behaviour(name, kind, shows, function, **details)
        return function

    return register
