"""Decides under which names the page is served, which pages may call it, and who a request counts for."""

import logging
import re
import socket
from collections.abc import Collection
from contextlib import suppress
from ipaddress import IPv6Address, IPv6Network, ip_address

from starlette.datastructures import MutableHeaders

from .requests import HttpRefusal

_log = logging.getLogger(__name__)

_UNKNOWN = "This page is not served under this name. Its owner can add the name to S2V_HOSTS."
_FOREIGN = (
    "This call came from another site's page, so nothing was sent and nothing was charged. "
    "If that site is this page under another name, its owner can add the name to S2V_HOSTS."
)
_AUTHORITY = re.compile(r"(\[[\da-f:.]+\]|[\w.-]+?)\.?(?::(\d+))?", re.ASCII)
_MACHINE = socket.gethostname().lower()
_OWN = {"localhost", _MACHINE, _MACHINE.split(".")[0], f"{_MACHINE.split('.')[0]}.local"}


class Hosts:
    """`names` are the page's own, besides `localhost`, IP addresses and the names of this machine.

    Any other name is foreign: its owner could point it at this machine, and pass their page off as ours.
    """

    def __init__(self, names: Collection[str], trusted_hops: int) -> None:
        self._names, self._hops = frozenset(names), trusted_hops
        self._told = False

    def check(self, headers: MutableHeaders, *, acts: bool) -> None:
        """Remove from `headers` the names that Gradio must not believe.

        Raises `HttpRefusal` for a foreign name, and for a call from a foreign page if the request `acts`.
        """
        public = self._public(headers)
        if not acts or (origin := headers.get("origin")) is None:
            return
        scheme, _, page = origin.partition("://")
        if not self._may_call(page, public, headers.get("sec-fetch-site")):
            raise HttpRefusal(403, _FOREIGN)
        if _split(page) != _split(public):
            self._tell(origin, public)
        headers["x-forwarded-host"], headers["x-forwarded-proto"] = page, scheme

    def _public(self, headers: MutableHeaders) -> str:
        """Returns the name under which the page was requested."""
        host, asked = headers.getlist("host"), headers.getlist("x-forwarded-host")
        if len(host) != 1 or not self._serves(host[0]):
            raise HttpRefusal(421, _UNKNOWN)
        del headers["x-gradio-server"]
        public = ",".join(asked).split(",")[0].strip() if self._hops else ""
        if public and self._serves(public):
            return public
        del headers["x-forwarded-host"]
        return host[0]

    def _may_call(self, page: str, public: str, site: str | None) -> bool:
        (name, port), (public_name, public_port) = _split(page), _split(public)
        same = name == public_name and public_port in ("", port)
        # The browser also knows behind a proxy that forwards another host than it was asked for.
        same = {"same-origin": True, None: same}.get(site, False)
        return self._serves(page) and (same or name in self._names)

    def _serves(self, authority: str) -> bool:
        name, _ = _split(authority)
        with suppress(ValueError):
            return bool(ip_address(name.strip("[]")))
        return name in self._names or name in _OWN

    def _tell(self, origin: str, public: str) -> None:
        if not self._told:
            self._told = True
            _log.warning(
                "A proxy forwards requests for %s as requests for %s. Browsers get working links to clips, but programs"
                " would get internal ones: have the proxy forward the Host header.", origin, public,
            )  # fmt: skip


def _split(authority: str) -> tuple[str, str]:
    """Returns name and port, each empty if there is none."""
    found = _AUTHORITY.fullmatch(authority.lower())
    return (found[1], found[2] or "") if found else ("", "")


def visitor(peer: str, forwarded: str, trusted_hops: int) -> str:
    """Returns the address a request counts for: the one that the outermost trusted proxy saw, or else the peer's.

    `forwarded` is X-Forwarded-For, to which each proxy appends. An IPv6 /64 is one visitor.
    """
    hops = forwarded.split(",")
    for text in (hops[-trusted_hops] if 0 < trusted_hops <= len(hops) else peer, peer):
        with suppress(ValueError):
            address = ip_address(text.strip())
            if isinstance(address, IPv6Address) and not address.ipv4_mapped:
                return str(IPv6Network((int(address), 64), strict=False))
            return str(getattr(address, "ipv4_mapped", address))
    return peer
