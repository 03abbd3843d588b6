"""A URL from outside → one whole MP4 on disk, from public addresses only."""

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.request import getproxies

import httpx

from .addresses import (
    Network,
    NotPublic,
    PublicTransport,
    Resolve,
    fitting,
    is_loopback,
    look_up,
    proxy_for,
    resolved,
    tunnels,
)
from .atomic import commit, temporary_for
from .clip.boxes import NotWhole, check_whole
from .errors import DownloadFailed
from .network import certificates

_REDIRECTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadLimits:
    """What one download may take; `connect` is for each address of the file host: they are tried in turn."""

    bytes: int = 200_000_000
    seconds: float = 300.0
    stalled: float = 30.0
    connect: float = 10.0


async def download(
    url: str,
    path: Path,
    *,
    base_url: str = "",
    networks: Sequence[Network] = (),
    transport: httpx.AsyncBaseTransport | None = None,
    limits: DownloadLimits = DownloadLimits(),
) -> None:
    """Save the MP4 behind a pre-signed `url`. Raises `DownloadFailed`, or `OSError` where the disk is the trouble.

    `base_url` and `networks` are for `PublicTransport`; a `transport` carries everything instead.
    """
    part = temporary_for(path)
    transport = transport or PublicTransport(certificates(), base_url=base_url, networks=networks)
    try:
        with await asyncio.to_thread(part.open, "xb") as file:
            try:
                async with asyncio.timeout(limits.seconds):
                    length_is_known = await _receive(url, file, transport, limits)
            except TimeoutError:
                raise DownloadFailed(f"it took longer than {limits.seconds:.0f} seconds") from None
            except NotPublic as error:
                raise DownloadFailed(str(error)) from None
            # A UnicodeError: httpx decodes the host of a redirect, which may be no IDN.
            # An SSLError, which is an OSError: httpx passes on what breaks behind the handshake.
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ssl.SSLError) as error:
                # Only its kind: the text may hold the pre-signed URL.
                raise DownloadFailed(f"the connection failed ({type(error).__name__})") from None
        await asyncio.to_thread(check_whole, part, length_is_known=length_is_known)
        await asyncio.to_thread(commit, part, path)
    except NotWhole as error:
        raise DownloadFailed(str(error)) from None
    finally:
        part.unlink(missing_ok=True)


async def way(base_url: str, *, networks: Sequence[Network] = (), resolve: Resolve = look_up) -> tuple[str, str]:
    """How clips come here, and what would be refused of them: sentences for people, the second empty if nothing is.

    Nobody knows a file host before there is a clip; the host of `base_url` stands for it.
    """
    service = httpx.URL(base_url)
    words = ["Clips are downloaded directly."]
    if proxy := proxy_for(httpx.URL("https://any-file-host.invalid")):
        others = [service.host] if is_loopback(service.host) else []
        others += ["the hosts in NO_PROXY"] if getproxies().get("no") else []
        but = f", except from {' and '.join(others)}" if others else ""
        # Without its user and password.
        host = proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0]
        words = [f"Clips are downloaded by the proxy {host}{but}."]
    if networks:
        words.append(f"Addresses in {_listed(networks)} count as public: S2V_FILE_NETWORKS names them.")
    if proxy_for(service) or is_loopback(service.host):
        return " ".join(words), ""
    addresses = await resolved(service.raw_host.decode(), resolve)
    if made_up := tunnels(addresses):
        words.append(
            f"Addresses in {_listed(made_up)} count as public: {service.host} has one, so a tunnel makes them."
        )
    if not addresses or fitting(addresses, [*networks, *made_up]):
        return " ".join(words), ""
    return " ".join(words), (
        f"{service.host} has the address {addresses[0]} here, which is not public: a clip from such an address is paid "
        "and then refused. Before you pay, name its network in S2V_FILE_NETWORKS, or the proxy that leads out in "
        "HTTPS_PROXY."
    )


def _listed(networks: Sequence[Network]) -> str:
    return ", ".join(map(str, networks))


async def _receive(url: str, file: BinaryIO, transport: httpx.AsyncBaseTransport, limits: DownloadLimits) -> bool:
    # A client of its own: the API client would hand our key to the file host.
    async with httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        timeout=httpx.Timeout(limits.stalled, connect=limits.connect),
        headers={"Accept-Encoding": "identity"},
    ) as http:
        for _ in range(_REDIRECTS + 1):
            async with http.stream("GET", url) as response:
                if response.next_request:
                    url = str(response.next_request.url)
                    continue
                if response.status_code != 200:
                    raise DownloadFailed(f"the file host answered HTTP {response.status_code}")
                received = 0
                async for chunk in response.aiter_raw(1 << 16):
                    received += len(chunk)
                    if received > limits.bytes:
                        raise DownloadFailed(f"it is over {limits.bytes // 1_000_000} MB")
                    file.write(chunk)
                return "Content-Length" in response.headers
        raise DownloadFailed(f"the file host redirected more than {_REDIRECTS} times")
