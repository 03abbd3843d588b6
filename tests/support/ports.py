"""Ports that nobody has."""

import socket


def free_ports(count: int) -> list[int]:
    free = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [int(each.getsockname()[1]) for each in free]
    for each in free:
        each.close()
    return found
