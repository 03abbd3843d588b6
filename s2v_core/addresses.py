"""Our server fetches from public addresses only: the rules for what is written, and a transport that keeps them.

It goes the way that other requests go here: by the environment's proxy, through NAT64, into a tunnel.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.request import getproxies

import httpx

from .language import Sentence

Address: TypeAlias = IPv4Address | IPv6Address
Network: TypeAlias = IPv4Network | IPv6Network
Resolve: TypeAlias = Callable[[str], Awaitable[list[str]]]

PORT = 443

# IANA gives out no other; what embeds an IPv4 address lies outside, but for 6to4 and Teredo.
_UNICAST = ip_network("2000::/3")
# What `is_global` calls public in one Python version or another: protocol assignments (with Teredo), 6to4 and its
# relays, documentation.
_NOT_PUBLIC = [ip_network(text) for text in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")]
# Its last 32 bits are an IPv4 address (RFC 6052).
_NAT64 = ip_network("64:ff9b::/96")
# What tunnels make up for every name, and take back when it is connected to: the defaults of Clash, Xray and sing-box.
# No host on a network of its own has such an address.
_TUNNELS = [ip_network("198.18.0.0/15"), ip_network("fc00::/18")]
# Two labels at least, and a last one that begins with a letter: else C libraries read 127.1 or 0x7f.1 as an address.
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+(?=[a-z]){_LABEL}")
# A kept connection is found by its address, whichever name its certificate was checked for.
_NOT_KEPT = httpx.Limits(max_keepalive_connections=0)
_PRIVATE_NAMES = {"localhost", "localdomain", "local", "internal"}


class NotPublic(httpx.TransportError):
    """A link may lead elsewhere than to a public address, as its `Sentence` says; nothing was connected to."""

    def __init__(self, why: str, **facts: object) -> None:
        super().__init__(Sentence(why, **facts))


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


def check_public(url: str | httpx.URL, *, port: int = PORT) -> None:
    """By what is written, without asking a name server. Raises `NotPublic`."""
    try:
        url = httpx.URL(url)
    except httpx.InvalidURL:
        raise NotPublic("the link is no URL") from None
    if url.scheme != "https" or url.userinfo or url.port not in (None, port):
        raise NotPublic("the link is not plain https on port {port}", port=port)
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


def proxy_for(url: httpx.URL) -> str:
    """The environment's proxy for a URL, as httpx reads it; empty where the way is direct."""
    proxies, host = getproxies(), url.raw_host.decode()
    for name in (text.strip().lower() for text in proxies.get("no", "").split(",")):
        if name in {"*", host} or (name and host.endswith(name if name.startswith(".") else f".{name}")):
            return ""
    proxy = proxies.get(url.scheme) or proxies.get("all", "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


async def resolved(host: str, resolve: Resolve = look_up) -> list[Address]:
    """What a name server says, as far as it is an address; nothing where there is no such name."""
    found = []
    # A UnicodeError: no name server can be asked for such a name.
    with suppress(OSError, UnicodeError):
        for text in await resolve(host):
            with suppress(ValueError):
                found.append(ip_address(text))
    return found


def tunnels(addresses: Iterable[Address]) -> list[Network]:
    """The networks of made-up addresses that these are in."""
    addresses = list(addresses)
    return [network for network in _TUNNELS if any(address in network for address in addresses)]


def fitting(addresses: Iterable[Address], networks: Sequence[Network] = ()) -> list[Address]:
    """Those that are public, or in one of the `networks`."""
    return [each for each in addresses if is_public(each) or any(each in network for network in networks)]


class PublicTransport(httpx.AsyncBaseTransport):
    """Carries each request to a public host: by the environment's proxy, which looks it up itself, or directly.

    Directly, each host is looked up and checked, and the very address that was checked is connected to. Addresses in
    `networks` count as public, and a tunnel's made-up ones if the host of `base_url` has one too.

    The one exception is a `base_url` on a loopback address: exactly its scheme, host and port, on loopback. A `carrier`
    takes on what goes directly, once it is checked. `port` is the only one that a link may name.
    """

    def __init__(
        self,
        verify: ssl.SSLContext,
        *,
        base_url: str = "",
        networks: Sequence[Network] = (),
        resolve: Resolve = look_up,
        carrier: httpx.AsyncBaseTransport | None = None,
        port: int = PORT,
    ) -> None:
        self._verify = verify
        self._direct = carrier or httpx.AsyncHTTPTransport(verify=verify, limits=_NOT_KEPT)
        self._proxied: httpx.AsyncHTTPTransport | None = None
        service = httpx.URL(base_url)
        self._service = service.raw_host.decode()
        self._own = _origin(service) if is_loopback(self._service) else None
        self._networks = networks
        self._resolve = resolve
        self._port = port

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        own = _origin(request.url) == self._own
        if not own:
            check_public(request.url, port=self._port)
            if proxy := proxy_for(request.url):
                return await self._by(proxy).handle_async_request(request)
        *others, last = await self._addresses(request.url.raw_host.decode(), own=own)
        for address in others:
            with suppress(httpx.ConnectError, httpx.ConnectTimeout):
                return await self._send(request, address)
        return await self._send(request, last)

    async def aclose(self) -> None:
        await self._direct.aclose()
        if self._proxied:
            await self._proxied.aclose()

    def _by(self, proxy: str) -> httpx.AsyncHTTPTransport:
        try:
            self._proxied = self._proxied or httpx.AsyncHTTPTransport(
                verify=self._verify, limits=_NOT_KEPT, proxy=proxy
            )
        # An ImportError: SOCKS needs a package that may not be here.
        except (ImportError, ValueError, httpx.InvalidURL):
            raise httpx.ProxyError("the environment's proxy cannot be used") from None
        return self._proxied

    async def _addresses(self, host: str, *, own: bool) -> list[Address]:
        addresses = await resolved(host, self._resolve)
        if own:
            found = [address for address in addresses if address.is_loopback]
        else:
            networks = [*self._networks]
            if self._service and (made_up := tunnels(addresses)):
                there = tunnels(await resolved(self._service, self._resolve))
                networks += [network for network in made_up if network in there]
            # One that is not public is passed over and does not spoil the rest.
            found = fitting(addresses, networks)
        if not found:
            none = "{host} has no public address" if addresses else "{host} has no address"
            raise NotPublic(none, host=host)
        return found

    async def _send(self, request: httpx.Request, address: Address) -> httpx.Response:
        # Host header and TLS keep the name: it is asked for, and the certificate is checked against it.
        names = {"sni_hostname": request.url.raw_host.decode()}
        return await self._direct.handle_async_request(
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
