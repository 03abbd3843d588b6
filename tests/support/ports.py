"""Ports for servers that are told which to take."""

import random
import socket
from contextlib import suppress
from pathlib import Path

_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
# Below those of which the system gives one to each connection that somebody opens meanwhile.
_END = int(_RANGE.read_text().split()[0]) if _RANGE.exists() else 32768
_CHANCE = random.SystemRandom()


def free_ports(count: int) -> list[int]:
    found = set[int]()
    while len(found) < count:
        port = _CHANCE.randrange(10_000, _END)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return list(found)
