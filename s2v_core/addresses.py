"""Our server fetches from public addresses only: the rules for what is written, and a transport that keeps them."""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

import httpx

Address: TypeAlias = IPv4Address | IPv6Address
Resolve: TypeAlias = Callable[[str], Awaitable[list[str]]]

PORT = 443

# IANA gives out no other; what embeds an IPv4 address lies outside, but for 6to4 and Teredo.
_UNICAST = ip_network("2000::/3")
# What `is_global` calls public in one Python version or another: protocol assignments (with Teredo), 6to4 and its
# relays, documentation.
_NOT_PUBLIC = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")]
# Its last 32 bits are an IPv4 address (RFC 6052).
_NAT64 = ip_network("64:ff9b::/96")
# Two labels at least, and a last one that begins with a letter: else C libraries read 127.1 or 0x7f.1 as an address.
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")
_PRIVATE_NAMES = {"localhost", "localdomain", "local", "internal"}


class NotPublic(httpx.TransportError):
    """A link leads, or may lead, elsewhere than to a public address; nothing was connected to."""


def is_public(address: Address) -> bool:
    """Refuses every IPv6 address that stands for an IPv4 one, but for NAT64, which is judged by that one."""
    if address in _NAT64:
        address = IPv4Address(int(address) & 0xFFFF_FFFF)
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _NOT_PUBLIC)
        and (address.version == 4 or address in _UNICAST)
    )


def check_public(url: str | httpx.URL) -> None:
    """By what is written, without asking a name server. Raises `NotPublic`."""
    try:
        url = httpx.URL(url)
    except httpx.InvalidURL:
        raise NotPublic("the link is no URL") from None
    if url.scheme != "https" or url.userinfo or url.port not in (None, PORT):
        raise NotPublic("the link is not plain https on port 443")
    if not _may_be_public(url.raw_host.decode()):
        raise NotPublic("the link names no public host")


def _may_be_public(host: str) -> bool:
    try:
        # A percent sign begins a zone: an interface of this machine.
        return is_public(ip_address(host)) and "%" not in host
    except ValueError:
        return bool(_NAME.fullmatch(host)) and host.rpartition(".")[2] not in _PRIVATE_NAMES


def is_loopback(host: str) -> bool:
    """By what is written, without asking a name server."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def look_up(host: str) -> list[str]:
    """Every address of a host, the best first. Raises `OSError`."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in found]


class PublicTransport(httpx.AsyncBaseTransport):
    """Looks up and checks each request's host, and connects to the very address that was checked; never by a proxy.

    The one exception is a `base_url` on a loopback address: exactly its scheme, host and port, on loopback.
    """

    def __init__(self, verify: ssl.SSLContext, *, base_url: str = "", resolve: Resolve = look_up) -> None:
        # No keep-alive: a kept connection is found by its address, whichever name its certificate was checked for.
        self._http = httpx.AsyncHTTPTransport(verify=verify, limits=httpx.Limits(max_keepalive_connections=0))
        own = httpx.URL(base_url)
        self._own = _origin(own) if is_loopback(own.raw_host.decode()) else None
        self._resolve = resolve

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        *others, last = await self._addresses(request.url)
        for address in others:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._send(request, address)
        return await self._send(request, last)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _addresses(self, url: httpx.URL) -> list[Address]:
        own = _origin(url) == self._own
        if not own:
            check_public(url)
        host = url.raw_host.decode()
        try:
            addresses = [ip_address(text) for text in await self._resolve(host)]
        except OSError:
            raise httpx.ConnectError(f"{host} has no address") from None
        # One that is not public is passed over and does not spoil the rest.
        fitting = [address for address in addresses if (address.is_loopback if own else is_public(address))]
        if not fitting:
            raise NotPublic(f"{host} has no public address")
        return fitting

    async def _send(self, request: httpx.Request, address: Address) -> httpx.Response:
        # Host header and TLS keep the name: it is asked for, and the certificate is checked against it.
        names = {"sni_hostname": request.url.raw_host.decode()}
        return await self._http.handle_async_request(
            httpx.Request(
                request.method,
                request.url.copy_with(host=str(address)),
                headers=request.headers,
                stream=request.stream,
                extensions=request.extensions | names,
            )
        )


def _origin(url: httpx.URL) -> tuple[str, bytes, int | None, bytes]:
    return url.scheme, url.raw_host, url.port, url.userinfo
