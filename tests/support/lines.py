"""Lines to a server that are worse than the server."""

import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def late_line(url: str, words: bytes, seconds: float) -> Iterator[str]:
    """An address that leads to `url`, where whatever contains `words` takes this much longer to come."""
    with _line(url, up=lambda _: 0.0, down=lambda data: seconds if words in data else 0.0) as address:
        yield address


@contextmanager
def narrow_line(url: str, bytes_per_second: float) -> Iterator[str]:
    """An address that leads to `url`, to which no more can be sent in a second."""
    with _line(url, up=lambda data: len(data) / bytes_per_second, down=lambda _: 0.0) as address:
        yield address


@contextmanager
def _line(url: str, *, up: Callable[[bytes], float], down: Callable[[bytes], float]) -> Iterator[str]:
    """`up` and `down` say how many seconds what passes waits."""

    class Line(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(("127.0.0.1", urlsplit(url).port or 80)) as server:
                threading.Thread(target=pass_on, args=(self.request, server, up)).start()
                pass_on(server, self.request, down)

    def pass_on(source: socket.socket, target: socket.socket, wait: Callable[[bytes], float]) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(wait(data))
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
