"""Receivers of alerts that can be taken away: webhook (HTTP), syslog (TCP, octet counting), MQTT 3.1.1 (a broker that only listens).

Each runs in threads of this process and remembers which revision of which alert it confirmed, and how often. `mode` is one of
`up`, `down` (nobody listens), `hang` (connections are accepted, nothing is read or answered) and, for HTTP, `refuse` (503).
A change of mode ends the connections there are. `benches/faults.py` uses them.
"""

import collections
import json
import socket
import struct
import threading
import time


class Receiver:
    def __init__(self, port):
        self.port = port
        self.confirmed = collections.Counter()  # (id, revision): how often
        self._lock = threading.Lock()
        self._connections = set()
        self._listener, self.mode = None, "down"
        self.set("up")

    def set(self, mode):
        with self._lock:
            held, self.mode = self.mode == "hang", mode
            connections, self._connections = self._connections, set()
            if mode == "down" and self._listener:
                # Wakes the thread that accepts; closing alone does not.
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._listener = None
            elif mode != "down" and not self._listener:
                self._listener = listen(self.port)
                threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        # Those that hang are closed with what nobody read, as when a program is killed: the other side sees a reset, no end.
        for connection in () if held else connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.add(connection)
                hangs = self.mode == "hang"
            threading.Thread(target=self._hold if hangs else self._serve, args=(connection,), daemon=True).start()

    def _hold(self, connection):
        """Until the mode changes."""
        with connection:
            while connection in self._connections:
                time.sleep(0.2)

    def _serve(self, connection):
        try:
            with connection, connection.makefile("rwb") as stream:
                self.converse(stream)
        except (OSError, ValueError, struct.error):
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)

    def confirm(self, text):
        alert = json.loads(text)
        with self._lock:
            self.confirmed[alert["id"], alert["revision"]] += 1


def listen(port):
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen(64)
    return listener


class Webhook(Receiver):
    def converse(self, stream):
        while stream.readline().strip():
            headers = {}
            while line := stream.readline().strip():
                name, _, value = line.partition(b":")
                headers[name.lower()] = value.strip()
            body = stream.read(int(headers.get(b"content-length", 0)))
            if self.mode == "refuse":
                stream.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
            else:
                self.confirm(body)
                stream.write(b"HTTP/1.1 204 No Content\r\n\r\n")
            stream.flush()


class Syslog(Receiver):
    def converse(self, stream):
        # All of the connection, or nothing: the closing afterwards is the confirmation.
        received = stream.read()
        messages = []
        while received:
            length, _, rest = received.partition(b" ")
            message, received = rest[:int(length)], rest[int(length):]
            messages.append(message[message.index(b"{"):])
        for message in messages:
            self.confirm(message)


class Broker(Receiver):
    CONNECT, CONNACK, PUBLISH, PUBACK, PINGREQ, PINGRESP = 1, 2, 3, 4, 12, 13

    def converse(self, stream):
        while head := stream.read(1):
            kind, flags = head[0] >> 4, head[0] & 15
            length = shift = 0
            while True:
                byte = stream.read(1)[0]
                length |= (byte & 127) << shift
                shift += 7
                if byte < 128:
                    break
            packet = stream.read(length)
            if kind == self.CONNECT:
                stream.write(bytes([self.CONNACK << 4, 2, 0, 0]))
            elif kind == self.PINGREQ:
                stream.write(bytes([self.PINGRESP << 4, 0]))
            elif kind == self.PUBLISH:
                self._publish(stream, packet, flags >> 1 & 3)
            stream.flush()

    def _publish(self, stream, packet, quality):
        topic_length, = struct.unpack(">H", packet[:2])
        topic, rest = packet[2:2 + topic_length], packet[2 + topic_length:]
        if quality:
            number, rest = rest[:2], rest[2:]
        if topic.endswith(b"/alert") and rest.startswith(b"{") and b'"revision"' in rest:
            self.confirm(rest)
        if quality:
            stream.write(bytes([self.PUBACK << 4, 2]) + number)
