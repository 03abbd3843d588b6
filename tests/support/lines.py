"""A line to a server on which some of what it says arrives late."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def late_line(url: str, words: bytes, seconds: float) -> Iterator[str]:
    """An address that leads to `url`, where whatever contains `words` takes this much longer to come."""

    class Line(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", urlsplit(url).port or 80)) as server:
                threading.Thread(target=pass_on, args=(self.request, server, b"")).start()
                pass_on(server, self.request, words)

    def pass_on(source: socket.socket, target: socket.socket, late: bytes) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if late and late in data:
                    time.sleep(seconds)
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Line) as line:
        line.daemon_threads = True
        threading.Thread(target=line.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{line.server_address[1]}/"
        finally:
            line.shutdown()
