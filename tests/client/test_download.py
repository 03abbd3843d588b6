"""No half file is ever shown."""

import asyncio
import os
import ssl
from pathlib import Path

import pytest
import trustme

from s2v_core.addresses import PublicTransport
from s2v_core.download import DownloadLimits, download
from s2v_core.errors import DownloadFailed

from ..support.service import Answer, Service

FTYP = b"\0\0\0\x0cftypisom"


@pytest.mark.parametrize("length", [True, False], ids=["with Content-Length", "without"])
async def test_no_truncation_on_the_way_leaves_a_file(
    length: bool, service: Service, clip: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "clip.mp4"
    for cut in range(0, len(clip), len(clip) // 12):
        service.file = [Answer(clip, cut=cut, length=length)]
        with pytest.raises(DownloadFailed):
            await download(f"{service.origin}/output_aigc.mp4", path, base_url=service.base_url)
        assert list(tmp_path.iterdir()) == []


async def test_more_than_so_many_bytes_are_not_taken(service: Service, tmp_path: Path) -> None:
    limits = DownloadLimits(bytes=1_000_000)
    service.file = [Answer(b"x" * 1_100_000, length=False)]
    with pytest.raises(DownloadFailed, match="over 1 MB"):
        await download(
            f"{service.origin}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url, limits=limits
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("limits", "says"),
    [(DownloadLimits(seconds=0.3), "it took longer than 0 seconds"), (DownloadLimits(stalled=0.3), "ReadTimeout")],
    ids=["in all", "between two parts"],
)
async def test_a_stalled_download_ends(limits: DownloadLimits, says: str, service: Service, tmp_path: Path) -> None:
    service.file = [Answer(stall=30)]
    with pytest.raises(DownloadFailed, match=says):
        await download(
            f"{service.origin}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url, limits=limits
        )


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://cdn.example/x", "https://[::1", "file:///etc/passwd"])
async def test_a_url_that_is_none_breaks_the_download_alone(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadFailed):
        await download(url, tmp_path / "clip.mp4")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (302, {}),
        (304, {}),
        (302, {"Location": "https://[::1"}),
        (302, {"Location": "https://exa[mple.test/"}),
        (302, {"Location": "https://xn--a.example/"}),
        (302, {"Location": "https://clips.example:x/"}),
    ],
    ids=["without a location", "not modified", "an open bracket", "a stray bracket", "no IDN", "no port"],
)
async def test_a_redirect_to_nowhere_breaks_the_download_alone(
    status: int, headers: dict[str, str], service: Service, tmp_path: Path
) -> None:
    service.file = [Answer(status=status, headers=headers)]
    with pytest.raises(DownloadFailed):
        await download(f"{service.origin}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url)
    assert list(tmp_path.iterdir()) == []


async def test_a_connection_whose_encryption_breaks_is_no_trouble_with_the_disk(tmp_path: Path) -> None:
    authority, tries = trustme.CA(), 0

    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 -\r\nContent-Length: 1000\r\n\r\n" + FTYP)
        await writer.drain()
        # Past the encryption, to the socket itself.
        os.write(writer.get_extra_info("socket").fileno(), b"no TLS record at all" * 20)
        writer.close()

    certificate = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(certificate)
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    server = await asyncio.start_server(break_off, "127.0.0.1", ssl=certificate)
    origin = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        with pytest.raises(DownloadFailed, match="the connection failed"):
            await download(f"{origin}/a", tmp_path / "clip.mp4", transport=PublicTransport(trust, base_url=origin))
    assert tries == 1
    assert list(tmp_path.iterdir()) == []
