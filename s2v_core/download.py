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
from .language import Sentence, gettext, paragraph
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
                raise DownloadFailed(
                    Sentence("it took longer than {seconds} seconds", seconds=round(limits.seconds))
                ) from None
            except NotPublic as error:
                raise DownloadFailed(error.args[0]) from None
            # A UnicodeError: httpx decodes the host of a redirect, which may be no IDN.
            # An SSLError, which is an OSError: httpx passes on what breaks behind the handshake.
            except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, ssl.SSLError) as error:
                # Only its kind: the text may hold the pre-signed URL.
                raise DownloadFailed(Sentence("the connection failed ({kind})", kind=type(error).__name__)) from None
        await asyncio.to_thread(check_whole, part, length_is_known=length_is_known)
        await asyncio.to_thread(commit, part, path)
    except NotWhole as error:
        raise DownloadFailed(error.args[0]) from None
    finally:
        part.unlink(missing_ok=True)


async def way(base_url: str, *, networks: Sequence[Network] = (), resolve: Resolve = look_up) -> tuple[str, str]:
    """How clips come here, and what would be refused of them: sentences for people, the second empty if nothing is.

    Nobody knows a file host before there is a clip; the host of `base_url` stands for it.
    """
    service = httpx.URL(base_url)
    words = [gettext("Clips are downloaded directly.")]
    if proxy := proxy_for(httpx.URL("https://any-file-host.invalid")):
        others = [service.host] if is_loopback(service.host) else []
        others += [gettext("the hosts in NO_PROXY")] if getproxies().get("no") else []
        by = "Clips are downloaded by the proxy {host}, except from {others}." if others else (
            "Clips are downloaded by the proxy {host}."
        )  # fmt: skip
        # Without its user and password.
        host = proxy.rpartition("@")[2].rpartition("//")[2].partition("/")[0]
        words = [gettext(by, host=host, others=gettext(" and ").join(others))]
    if networks:
        named = "Addresses in {networks} count as public: S2V_FILE_NETWORKS names them."
        words.append(gettext(named, networks=_listed(networks)))
    if proxy_for(service) or is_loopback(service.host):
        return paragraph(*words), ""
    addresses = await resolved(service.raw_host.decode(), resolve)
    if made_up := tunnels(addresses):
        tunnel = "Addresses in {networks} count as public: {host} has one, so a tunnel makes them."
        words.append(gettext(tunnel, networks=_listed(made_up), host=service.host))
    if not addresses or fitting(addresses, [*networks, *made_up]):
        return paragraph(*words), ""
    refused = (
        "{host} has the address {address} here, which is not public: a clip from such an address is paid and then "
        "refused. Before you pay, name its network in S2V_FILE_NETWORKS, or the proxy that leads out in HTTPS_PROXY."
    )
    return paragraph(*words), gettext(refused, host=service.host, address=addresses[0])


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
                    raise DownloadFailed(Sentence("the file host answered HTTP {status}", status=response.status_code))
                received = 0
                async for chunk in response.aiter_raw(1 << 16):
                    received += len(chunk)
                    if received > limits.bytes:
                        raise DownloadFailed(Sentence("it is over {most} MB", most=limits.bytes // 1_000_000))
                    file.write(chunk)
                return "Content-Length" in response.headers
        raise DownloadFailed(Sentence("the file host redirected more than {most} times", most=_REDIRECTS))
