"""Reads whatever is posted or put to 127.0.0.1:9009 and throws it away: the far end of uploads."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Sink(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        left = int(self.headers.get("Content-Length", 0))
        while left > 0 and (chunk := self.rfile.read(min(left, 1 << 16))):
            left -= len(chunk)
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\n")

    do_PUT = do_POST

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", 9009), Sink).serve_forever()
