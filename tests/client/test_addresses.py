"""Our server fetches from public addresses only: the rules by table, then on sockets, where every visit is counted."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx
import pytest
import trustme

from s2v_core import Client, ImageRejected, NotDownloaded, Photo, Settings
from s2v_core.addresses import Network, NotPublic, PublicTransport, check_public, is_public, proxy_for, tunnels
from s2v_core.commands.installation import _check
from s2v_core.download import download, way
from s2v_core.errors import DownloadFailed
from s2v_core.jobs.studio import Studio
from s2v_core.network import certificates
from s2v_core.photo.prepare import public_link
from s2v_core.simulator.service import Simulator

from ..support.service import FAST, FILE, KEY, PROMPT, TASK, Answer, Service

PUBLIC = ["8.8.8.8", "1.1.1.1", "100.63.255.255", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1",
          "64:ff9b::808:808", "64:ff9b::c000:101"]  # fmt: skip
NOT_PUBLIC = {
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "link-local, with the clouds' metadata": ["169.254.169.254", "fe80::1", "fe80::1%eth0"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],
    "multicast": ["224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.255", "4000::1", "400::1", "5f00::1", "100::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarking": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "protocol assignments": ["192.0.0.8", "192.0.0.9", "192.0.0.192", "2001:1::1", "2001:20::1"],
    "unique local and site-local": ["fc00::1", "fd00:ec2::254", "fec0::1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:8.8.8.8"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "IPv4-translated": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "NAT64": ["64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "64:ff9b::a00:1", "64:ff9b::c612:1", "64:ff9b::"],
    "NAT64 of a network's own": ["64:ff9b:1::7f00:1", "64:ff9b:1::808:808", "64:ff9b:0:0:0:1:808:808"],
    "6to4 and its relays": ["2002:7f00:1::", "2002:808:808::1", "192.88.99.1"],
    "Teredo": ["2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"],
}
ODD_HOSTS = [
    "127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f.0.0.1", "0X7F000001", "2130706433", "017700000001", "0177.0.0.1",
    "127.0.0.0x1", "0", "0.0.0.0", "127.0.0.2", "127.0.0.1.", "127.1.", "localhost", "localhost.", "LocalHost",
    "a.localhost", "a.localhost.", "localhost.localdomain", "printer.local", "metadata.google.internal", "vm",
    "[::1]", "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::1%25lo]",
    "[::1%lo]", "[2606:4700::1%25lo]", "[2606:4700::1%lo]", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "１２７.0.0.1",
    "①②⑦.0.0.1", "ⓛocalhost", "%31%32%37.0.0.1", "127%2e0%2e0%2e1", "%6cocalhost", "clips.example%00.127.0.0.1",
    "clips.example\\@127.0.0.1", "127.0.0.1\\.clips.example", "clips.example@127.0.0.1", "me:pass@127.0.0.1",
    "xn--a.example@127.0.0.1",
]  # fmt: skip
ODD_LINKS = {
    "http": "http://clips.example/a",
    "another scheme": "ftp://clips.example/a",
    "no scheme": "//clips.example/a",
    "no slashes": "https:clips.example/a",
    "another port": "https://clips.example:8443/a",
    "port 0": "https://clips.example:0/a",
    "port 80": "https://clips.example:80/a",
    "a port below 0": "https://clips.example:-1/a",
    "a port past the last": "https://clips.example:65979/a",
    "no number as a port": "https://clips.example:x/a",
    "two ports": "https://clips.example:443:443/a",
    "a user": "https://me@clips.example/a",
    "a user and a password": "https://me:pass@clips.example/a",
    "an empty host": "https:///a",
    "a port alone": "https://:443/a",
    "dots alone": "https://.../a",
    "an empty label": "https://clips..example/a",
    "a leading dot": "https://.clips.example/a",
    "a trailing dot": "https://clips.example./a",
    "one label": "https://clips/a",
    "a label over 63": f"https://{'a' * 64}.example/a",
    "a host over 253": f"https://{'a' * 61}.{('b' * 61 + '.') * 3}example/a",
    "a hyphen in front": "https://-clips.example/a",
    "a number last": "https://clips.123/a",
    "a hexadecimal number last": "https://clips.0x7f/a",
    "a line feed": "https://clips.example\n/a",
    "a tab": "https://clips\t.example/a",
    "a NUL": "https://clips.example\0/a",
    "a delete": "https://clips.example/\x7f",
    "a space": "https://clips .example/a",
    "a backslash": "https://clips.example\\a",
    "backslashes": "https:\\\\clips.example\\a",
    "a backslash and a user": "https://clips.example\\@other.example/a",
    "an open bracket": "https://[2606:4700::1111/a",
    "brackets around a name": "https://[clips.example]/a",
    "an address of the future": "https://[v1.clips]/a",
}


@pytest.mark.parametrize("address", PUBLIC)
def test_an_address_on_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("kind", NOT_PUBLIC)
def test_no_other_address_is_public(kind: str) -> None:
    assert [address for address in NOT_PUBLIC[kind] if is_public(ip_address(address))] == []


@pytest.mark.parametrize("url", [f"https://{host}/a" for host in ODD_HOSTS] + list(ODD_LINKS.values()))
def test_a_link_that_may_lead_elsewhere_is_refused_by_what_is_written(url: str) -> None:
    with pytest.raises(NotPublic):
        check_public(url)
    with pytest.raises(ImageRejected):
        public_link(url)


@pytest.mark.parametrize("address", [address for kind in NOT_PUBLIC.values() for address in kind])
def test_an_address_that_is_not_public_is_refused_as_a_host(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    with pytest.raises(NotPublic):
        check_public(f"https://{host}/a")
    with pytest.raises(ImageRejected):
        public_link(f"https://{host}/a")


@pytest.mark.parametrize(
    "url",
    ["https://clips.example/a.mp4?Expires=1&Signature=a%2Bb%3D", "https://clips.example", "https://clips.example:/a",
     "https://clips.example:443/a", "HTTPS://Clips.Example/a", "https://a_b.s3-accelerate.xn--p1ai/a", "https://8.8.8.8/a",
     "https://[2606:4700::1111]/a", f"https://{'a' * 63}.example/a",
     f"https://{'a' * 60}.{('b' * 60 + '.') * 3}example/a",
     "https://127.0.0.1.clips.example/a", "https://local.example/a", "https://clips.example/\\a"],
)  # fmt: skip
def test_a_public_link_is_accepted_by_both(url: str) -> None:
    check_public(url)
    assert httpx.URL(public_link(url)) == httpx.URL(url)


class Door:
    """Counts who comes in, before anything is said, and gives everybody the same answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.visits = 0
        self.heads: list[list[str]] = []
        self.names: list[str | None] = []

    async def open(self, host: str, port: int = 0, certificate: trustme.LeafCert | None = None) -> None:
        context = None
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            certificate.configure_cert(context)
            context.sni_callback = lambda _, name, __: self.names.append(name)
        self._server = await asyncio.start_server(self._serve, host, port, ssl=context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        try:
            while True:
                self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n"))
                writer.write(self.answer.encode())
                await writer.drain()
                if "Connection" not in self.answer.headers:
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


class Proxy(Door):
    """Leads every name to one door, as a proxy that looks names up itself, and notes which were asked for."""

    behind: Door

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        self.heads.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n"))
        writer.write(self.answer.encode())
        if self.answer.status == 200:
            there, back = await asyncio.open_connection("127.0.0.1", self.behind.port)
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
        writer.close()

    @property
    def asked(self) -> list[str]:
        return [head[0].split(" ")[1] for head in self.heads]


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()


class Beyond(httpx.AsyncBaseTransport):
    """The network where every address is: each leads to one door, and is noted."""

    def __init__(self, door: Door, trust: ssl.SSLContext) -> None:
        self.reached: list[str] = []
        self._port = door.port
        self._http = httpx.AsyncHTTPTransport(verify=trust)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.reached.append(request.url.host)
        request.url = request.url.copy_with(host="127.0.0.1", port=self._port)
        return await self._http.handle_async_request(request)

    async def aclose(self) -> None:
        await self._http.aclose()


OpenDoor: TypeAlias = Callable[..., Awaitable[Door]]


class Names:
    """A name server. Each list is one name's answers in turn; the last is repeated."""

    def __init__(self, answers: dict[str, list[list[str]]]) -> None:
        self._answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str) -> list[str]:
        self.asked.append(host)
        if host not in self._answers:
            raise OSError("no such name")
        answers = self._answers[host]
        return answers.pop(0) if len(answers) > 1 else answers[0]


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def open_door() -> AsyncIterator[OpenDoor]:
    async with AsyncExitStack() as stack:

        async def open_door(host: str, port: int = 0, answer: Answer | None = None, **how: object) -> Door:
            door = Door(answer or Answer(status=404))
            await door.open(host, port, **how)
            stack.push_async_callback(door.close)
            return door

        yield open_door


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def trust(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """By every client of this process, as the environment has it."""
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    certificates.cache_clear()
    yield
    certificates.cache_clear()


@pytest.fixture
async def outside(open_door: OpenDoor, authority: trustme.CA, clip: bytes) -> Door:
    """Behind a transport that `leading` there makes."""
    certificate = authority.issue_cert("clips.test")
    return await open_door("127.0.0.1", answer=Answer(clip), certificate=certificate)


def leading(outside: Door, trust: ssl.SSLContext, names: "Names", *public: str) -> PublicTransport:
    """As if these addresses were public, or that of the door, and the door's port were 443."""
    networks = [ip_network(address) for address in public or ["127.0.0.1"]]
    return PublicTransport(trust, resolve=names, networks=networks, port=outside.port)


@pytest.fixture
async def file_host(open_door: OpenDoor, authority: trustme.CA, clip: bytes) -> Door:
    """Reached by a proxy, or by an address that stands for a public one."""
    certificate = authority.issue_cert("clips.test", "other.test", "8.8.8.8")
    return await open_door("127.0.0.1", answer=Answer(clip), certificate=certificate)


@pytest.fixture
async def proxy(file_host: Door, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Proxy]:
    proxy = Proxy(Answer(length=False))
    proxy.behind = file_host
    await proxy.open("127.0.0.1")
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
    yield proxy
    await proxy.close()


@pytest.fixture
async def elsewhere(outside: Door, open_door: OpenDoor) -> Door:
    return await open_door("127.0.0.2", outside.port)


async def neighbours(open_door: OpenDoor, *ports: int) -> list[Door]:
    """What else a host and a port may mean here, as far as this machine has it."""
    doors = []
    for port in ports:
        for host in ("127.0.0.1", "127.0.0.2", "::1"):
            with suppress(OSError):
                doors.append(await open_door(host, port))
    assert doors
    return doors


async def test_no_odd_host_is_reached_directly_or_by_a_redirect(
    service: Service, open_door: OpenDoor, tmp_path: Path
) -> None:
    door = await open_door("127.0.0.1")
    doors = [door, *await neighbours(open_door, door.port, urlsplit(service.origin).port)]
    urls = [
        f"{scheme}://{host}{port}/a"
        for host in ODD_HOSTS
        for scheme, port in [("http", f":{door.port}"), ("https", f":{door.port}"), ("https", ""), ("http", "")]
    ]
    trust = ssl.create_default_context()

    async def ask(url: str) -> None:
        # So that a port never hides what the host alone would open.
        transport = PublicTransport(trust, base_url=service.base_url, port=door.port)
        await download(url, tmp_path / "clip.mp4", transport=transport)

    for url in urls:
        with pytest.raises(DownloadFailed):
            await ask(url)
    assert service.requests == []
    for url in urls:
        service.file = [Answer(status=302, headers={"Location": url})]
        with pytest.raises(DownloadFailed, match=r"not plain https|no public host|no URL|RemoteProtocolError"):
            await ask(f"{service.origin}/output_aigc.mp4")
    assert len(service.requests) == len(urls)
    assert sum(door.visits for door in doors) == 0


async def test_a_loopback_base_url_opens_its_own_scheme_host_and_port_alone(
    service: Service, open_door: OpenDoor, clip: bytes, tmp_path: Path
) -> None:
    port = urlsplit(service.origin).port
    other = await open_door("127.0.0.1")
    doors = [other, *await neighbours(open_door, port)]
    for authority in (
        f"127.0.0.1:{other.port}", f"127.0.0.2:{port}", f"[::1]:{port}", f"localhost:{port}", f"127.1:{port}",
        f"127.0.0.1.:{port}", f"me@127.0.0.1:{port}", "127.0.0.1",
    ):  # fmt: skip
        with pytest.raises(DownloadFailed, match="not plain https"):
            await download(f"http://{authority}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url)
    with pytest.raises(DownloadFailed, match="not plain https"):
        await download(f"https://127.0.0.1:{port}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url)
    with pytest.raises(DownloadFailed):
        await download(f"{service.origin}/output_aigc.mp4", tmp_path / "clip.mp4")
    assert service.requests == []
    assert sum(door.visits for door in doors) == 0
    await download(f"{service.origin}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url)
    assert (tmp_path / "clip.mp4").read_bytes() == clip


async def test_a_loopback_base_url_by_name_is_reached_on_loopback_alone(service: Service, tmp_path: Path) -> None:
    own = service.base_url.replace("127.0.0.1", "localhost")
    url = f"http://localhost:{urlsplit(own).port}/output_aigc.mp4"
    await download(url, tmp_path / "clip.mp4", base_url=own)
    for addresses_of_it in (["10.0.0.1"], ["8.8.8.8"]):
        names = Names({"localhost": [addresses_of_it]})
        transport = PublicTransport(ssl.create_default_context(), base_url=own, resolve=names)
        with pytest.raises(DownloadFailed, match="no public address"):
            await download(url, tmp_path / "clip.mp4", transport=transport)
    assert len(service.requests) == 1


async def test_the_clip_comes_from_the_checked_address_under_its_name(
    outside: Door, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    names = Names({"clips.test": [["127.0.0.1"]]})
    url = f"https://clips.test:{outside.port}/a%20b.mp4?Expires=1&Signature=a%2Bb%3D"
    await download(url, tmp_path / "clip.mp4", transport=leading(outside, trust, names))
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert names.asked == ["clips.test"]
    assert outside.names == ["clips.test"]
    (head,) = outside.heads
    assert head[0] == "GET /a%20b.mp4?Expires=1&Signature=a%2Bb%3D HTTP/1.1"
    assert f"Host: clips.test:{outside.port}" in head


async def test_the_certificate_is_checked_against_the_name(
    outside: Door, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    names = Names({"other.test": [["127.0.0.1"]]})
    url = f"https://other.test:{outside.port}/a"
    with pytest.raises(DownloadFailed, match="ConnectError"):
        await download(url, tmp_path / "clip.mp4", transport=leading(outside, trust, names))
    assert outside.names == ["other.test"]
    assert outside.heads == []


@pytest.mark.parametrize("address", [address for kind in NOT_PUBLIC.values() for address in kind])
async def test_a_name_that_resolves_to_no_public_address_is_refused(address: str, tmp_path: Path) -> None:
    names = Names({"clips.test": [[address]]})
    transport = PublicTransport(ssl.create_default_context(), resolve=names)
    with pytest.raises(DownloadFailed, match=r"clips\.test has no public address"):
        await download("https://clips.test/a?Signature=x", tmp_path / "clip.mp4", transport=transport)
    assert names.asked == ["clips.test"]


async def test_a_name_that_changes_its_address_is_asked_once_for_each_connection(
    outside: Door, elsewhere: Door, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    names = Names({"clips.test": [["127.0.0.1"], ["127.0.0.2"]]})
    url = f"https://clips.test:{outside.port}/a"
    await download(url, tmp_path / "clip.mp4", transport=leading(outside, trust, names))
    assert names.asked == ["clips.test"]

    names = Names({"clips.test": [["127.0.0.1"], ["127.0.0.2"]]})
    outside.answer = Answer(status=302, headers={"Location": "/b"})
    with pytest.raises(DownloadFailed, match="no public address"):
        await download(url, tmp_path / "other.mp4", transport=leading(outside, trust, names))
    assert names.asked == ["clips.test", "clips.test"]
    assert (outside.visits, elsewhere.visits) == (2, 0)


async def test_of_several_addresses_only_public_ones_are_tried_and_a_dead_one_is_passed_over(
    outside: Door,
    elsewhere: Door,
    trust: ssl.SSLContext,
    clip: bytes,
    tmp_path: Path,
) -> None:
    names = Names({"clips.test": [["127.0.0.2", "127.0.0.3", "127.0.0.1"]]})
    url = f"https://clips.test:{outside.port}/a"
    transport = leading(outside, trust, names, "127.0.0.1", "127.0.0.3")
    await download(url, tmp_path / "clip.mp4", transport=transport)
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert (outside.visits, elsewhere.visits) == (1, 0)


async def test_two_names_at_one_address_share_no_connection(outside: Door, trust: ssl.SSLContext) -> None:
    outside.answer = Answer(b"kept open", headers={"Connection": "keep-alive"})
    names = Names({"clips.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]})
    async with httpx.AsyncClient(transport=leading(outside, trust, names)) as http:
        assert (await http.get(f"https://clips.test:{outside.port}/")).text == "kept open"
        with pytest.raises(httpx.ConnectError):
            await http.get(f"https://other.test:{outside.port}/")
    assert len(outside.heads) == 1


async def test_a_name_without_an_address_breaks_the_download_alone(tmp_path: Path) -> None:
    transport = PublicTransport(ssl.create_default_context(), resolve=Names({}))
    with pytest.raises(DownloadFailed, match=r"clips\.test has no address"):
        await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)


async def test_an_international_name_is_asked_for_in_ascii(tmp_path: Path) -> None:
    names = Names({"xn--bcher-kva.test": [["10.0.0.1"]]})
    transport = PublicTransport(ssl.create_default_context(), resolve=names)
    with pytest.raises(DownloadFailed, match="no public address"):
        await download("https://bücher。test/a", tmp_path / "clip.mp4", transport=transport)
    assert names.asked == ["xn--bcher-kva.test"]


async def test_a_loopback_base_url_is_asked_by_no_proxy(
    service: Service, open_door: OpenDoor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = await open_door("127.0.0.1")
    for name in ("http_proxy", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
    await download(f"{service.origin}/output_aigc.mp4", tmp_path / "clip.mp4", base_url=service.base_url)
    assert (len(service.calls("file")), proxy.visits) == (1, 0)


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
async def test_the_clip_comes_by_the_proxy_which_looks_its_host_up(
    variable: str, proxy: Proxy, trust: ssl.SSLContext, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HTTPS_PROXY")
    monkeypatch.setenv(variable, f"me:pass@127.0.0.1:{proxy.port}")
    names = Names({})
    transport = PublicTransport(trust, base_url="https://api.test/v1", resolve=names)
    await download("https://clips.test/a?Signature=x", tmp_path / "clip.mp4", transport=transport)
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert (proxy.asked, names.asked) == (["clips.test:443"], [])
    assert "Proxy-Authorization: Basic bWU6cGFzcw==" in proxy.heads[0]
    assert proxy.behind.names == ["clips.test"]
    (head,) = proxy.behind.heads
    assert head[0] == "GET /a?Signature=x HTTP/1.1"
    assert not any("pass" in line or "Authorization" in line for line in head)


async def test_the_payment_and_its_clip_go_by_the_same_proxy(
    service: Service,
    proxy: Proxy,
    authority: trustme.CA,
    trusted: None,
    photo: Photo,
    clip: bytes,
    tmp_path: Path,
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("api.test", "clips.test").configure_cert(context)
    server = await asyncio.start_server(service.serve, "127.0.0.1", ssl=context)
    proxy.behind.port = server.sockets[0].getsockname()[1]
    service.origin = "https://clips.test"
    async with server, Client("https://api.test/minimaxi/v1", KEY, timing=FAST) as client:
        assert await client.submit(photo, PROMPT) == TASK
        await client.fetch(FILE, tmp_path / "clip.mp4")
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert proxy.asked == ["api.test:443", "api.test:443", "clips.test:443"]
    assert [("authorization" in request.headers) for request in service.requests] == [True, True, False]


async def test_the_certificate_is_checked_behind_a_proxy_too(
    proxy: Proxy, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    with pytest.raises(DownloadFailed, match="ConnectError"):
        await download("https://third.test/a", tmp_path / "clip.mp4", transport=PublicTransport(trust))
    assert (proxy.asked, proxy.behind.heads) == (["third.test:443"], [])


async def test_no_odd_host_is_asked_of_a_proxy_directly_or_by_a_redirect(
    proxy: Proxy, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    urls = [f"https://{host}/a" for host in ODD_HOSTS] + list(ODD_LINKS.values())
    urls += [f"https://{f'[{each}]' if ':' in each else each}/a" for kind in NOT_PUBLIC.values() for each in kind]
    for url in urls:
        with pytest.raises(DownloadFailed, match=r"not plain https|no public host|no URL|InvalidURL"):
            await download(url, tmp_path / "clip.mp4", transport=PublicTransport(trust))
    assert proxy.visits == 0
    # Of all kinds, as each takes a handshake.
    for url in urls[:: len(urls) // 30]:
        proxy.behind.answer = Answer(status=302, headers={"Location": url.encode().decode("latin-1")})
        with pytest.raises(DownloadFailed):
            await download("https://clips.test/a", tmp_path / "clip.mp4", transport=PublicTransport(trust))
    assert set(proxy.asked) == {"clips.test:443"}


async def test_a_redirect_is_followed_by_the_proxy(
    proxy: Proxy, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    proxy.behind.answer = Answer(status=302, headers={"Location": "https://other.test/b"})
    with pytest.raises(DownloadFailed, match="redirected more than 3 times"):
        await download("https://clips.test/a", tmp_path / "clip.mp4", transport=PublicTransport(trust))
    assert proxy.asked == ["clips.test:443", *["other.test:443"] * 3]


async def test_a_proxy_that_refuses_is_not_gone_around(proxy: Proxy, trust: ssl.SSLContext, tmp_path: Path) -> None:
    proxy.answer = Answer(status=407)
    names = Names({"clips.test": [["8.8.8.8"]]})
    beyond = Beyond(proxy.behind, trust)
    transport = PublicTransport(trust, resolve=names, carrier=beyond)
    with pytest.raises(DownloadFailed, match="ProxyError"):
        await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert (proxy.visits, names.asked, beyond.reached) == (1, [], [])


@pytest.mark.parametrize("text", ["socks5://127.0.0.1:1", "ftp://127.0.0.1:1", "http://[127.0.0.1", "http://a:b:c"])
async def test_a_proxy_that_cannot_be_used_breaks_the_download_alone(
    text: str, trust: ssl.SSLContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", text)
    with pytest.raises(DownloadFailed, match=r"ProxyError|ConnectError"):
        await download("https://clips.test/a", tmp_path / "clip.mp4", transport=PublicTransport(trust))


async def test_a_host_in_no_proxy_is_looked_up_and_judged_here(
    proxy: Proxy, trust: ssl.SSLContext, clip: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "clips.test")
    names = Names({"clips.test": [["8.8.8.8"], ["10.0.0.1"]]})
    beyond = Beyond(proxy.behind, trust)
    transport = PublicTransport(trust, resolve=names, carrier=beyond)
    await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    with pytest.raises(DownloadFailed, match="no public address"):
        await download("https://clips.test/a", tmp_path / "other.mp4", transport=PublicTransport(trust, resolve=names))
    assert (proxy.visits, beyond.reached) == (0, ["8.8.8.8"])


@pytest.mark.parametrize(
    "no_proxy",
    ["", "*", "clips.test", ".clips.test", "CLIPS.test", "test", "lips.test", "other.test, clips.test", "other.test,*",
     "127.0.0.9", "127.0.0.0/8", "2001:db8::1", ", ,"],
)  # fmt: skip
async def test_the_proxy_is_chosen_as_httpx_chooses_it(
    no_proxy: str, proxy: Proxy, trust: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere(*_: object, **__: object) -> None:
        raise OSError("no such name")

    monkeypatch.setenv("NO_PROXY", no_proxy)
    # What httpx would reach directly, it shall not.
    monkeypatch.setattr("socket.getaddrinfo", nowhere)
    proxy.answer = Answer(status=403)
    for host in ("clips.test", "a.clips.test", "aclips.test", "127.0.0.9"):
        async with httpx.AsyncClient(verify=trust, timeout=5) as http:
            with pytest.raises(httpx.TransportError) as caught:
                await http.get(f"https://{host}/")
        chosen = proxy_for(httpx.URL(f"https://{host}/"))
        assert chosen == (f"http://127.0.0.1:{proxy.port}" if caught.type is httpx.ProxyError else ""), host


async def test_behind_nat64_the_clip_comes_from_the_address_as_it_is(
    file_host: Door, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    names = Names({"clips.test": [["64:ff9b::7f00:1", "64:ff9b::808:808"]]})
    beyond = Beyond(file_host, trust)
    transport = PublicTransport(trust, resolve=names, carrier=beyond)
    await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert (beyond.reached, file_host.names) == (["64:ff9b::808:808"], ["clips.test"])


@pytest.mark.parametrize(
    ("service", "clips"),
    [("198.18.0.7", "198.19.255.9"), ("fc00::7", "fc00:3fff::9")],
    ids=["IPv4", "IPv6"],
)
async def test_in_a_tunnel_that_makes_up_the_service_the_clip_is_reached_too(
    service: str, clips: str, file_host: Door, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    names = Names({"api.test": [[service]], "clips.test": [[clips]]})
    beyond = Beyond(file_host, trust)
    transport = PublicTransport(trust, base_url="https://api.test/v1", resolve=names, carrier=beyond)
    await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert (beyond.reached, names.asked) == ([clips], ["clips.test", "api.test"])


@pytest.mark.parametrize(
    "service", [["8.8.8.8"], ["fc00::7"], [], ["10.0.0.1"]], ids=["public", "the other network", "gone", "private"]
)
async def test_without_a_tunnel_its_addresses_are_not_public(
    service: list[str], file_host: Door, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    names = Names({"api.test": [service], "clips.test": [["198.18.0.7"]]})
    beyond = Beyond(file_host, trust)
    transport = PublicTransport(trust, base_url="https://api.test/v1", resolve=names, carrier=beyond)
    with pytest.raises(DownloadFailed, match="no public address"):
        await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert beyond.reached == []


@pytest.mark.parametrize("kind", [kind for kind in NOT_PUBLIC if kind != "benchmarking"])
async def test_where_the_service_is_beside_a_file_host_alone_opens_nothing(
    kind: str, file_host: Door, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    beyond = Beyond(file_host, trust)
    for address in NOT_PUBLIC[kind]:
        # Made up, and beside it the very address that the link leads to.
        names = Names({"api.test": [["198.18.0.7", address]], "clips.test": [[address]]})
        transport = PublicTransport(trust, base_url="https://api.test/v1", resolve=names, carrier=beyond)
        if tunnels([ip_address(address)]):
            continue
        with pytest.raises(DownloadFailed, match="no public address"):
            await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert beyond.reached == []


async def test_a_redirect_out_of_a_tunnel_is_judged_again(
    file_host: Door, trust: ssl.SSLContext, tmp_path: Path
) -> None:
    names = Names({"api.test": [["198.18.0.7"]], "clips.test": [["198.18.0.9"]], "other.test": [["192.168.1.1"]]})
    file_host.answer = Answer(status=302, headers={"Location": "https://other.test/b"})
    beyond = Beyond(file_host, trust)
    transport = PublicTransport(trust, base_url="https://api.test/v1", resolve=names, carrier=beyond)
    with pytest.raises(DownloadFailed, match=r"other\.test has no public address"):
        await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert beyond.reached == ["198.18.0.9"]


async def test_a_network_that_the_owner_names_counts_as_public_and_no_other(
    outside: Door, elsewhere: Door, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    names = Names({"clips.test": [["127.0.0.2", "127.0.0.1"]]})
    transport = leading(outside, trust, names, "127.0.0.1/32")
    await download(f"https://clips.test:{outside.port}/a", tmp_path / "clip.mp4", transport=transport)
    assert (tmp_path / "clip.mp4").read_bytes() == clip
    assert (outside.visits, elsewhere.visits) == (1, 0)


@pytest.mark.parametrize(
    ("networks", "says"),
    [((), "has no public address"), ((ip_network("127.0.0.0/8"),), "the connection failed")],
    ids=["without", "with"],
)
async def test_a_network_in_the_settings_reaches_the_download_of_a_job(
    networks: tuple[Network, ...],
    says: str,
    service: Service,
    photo: Photo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    look_up = socket.getaddrinfo
    # This machine's name server; nothing here serves https on the address.
    monkeypatch.setattr("socket.getaddrinfo", lambda host, *how, **more: look_up("127.0.0.1", *how, **more))
    service.retrieve = [lambda: service.link(download_url="https://clips.test/a")]
    settings = Settings(api_key=KEY, base_url=service.base_url, data_dir=tmp_path, file_networks=networks)
    async with Studio(settings, simulator=Simulator(tmp_path / "simulator"), timing=FAST) as studio:
        job = await studio.submit(photo, PROMPT)
        async for seen in studio.watch(job.ticket):
            if seen.waits:
                break
    assert says in seen.waits


async def test_what_is_no_address_is_passed_over(
    file_host: Door, trust: ssl.SSLContext, clip: bytes, tmp_path: Path
) -> None:
    beyond = Beyond(file_host, trust)
    names = Names({"clips.test": [["fe80::1%", "fe80::1%eth0", "here", "8.8.8.8"]]})
    transport = PublicTransport(trust, resolve=names, carrier=beyond)
    await download("https://clips.test/a", tmp_path / "clip.mp4", transport=transport)
    assert beyond.reached == ["8.8.8.8"]


WAYS: dict[str, tuple[list[str], dict[str, str], list[str], str, str]] = {
    "public": (["8.8.8.8"], {}, [], "Clips are downloaded directly.", ""),
    "NAT64": (["64:ff9b::808:808"], {}, [], "Clips are downloaded directly.", ""),
    "no address": ([], {}, [], "Clips are downloaded directly.", ""),
    "a proxy": (
        ["10.0.0.1"], {"HTTPS_PROXY": "http://me:canary@proxy.test:3128/"}, [],
        "Clips are downloaded by the proxy proxy.test:3128.", "",
    ),
    "a proxy for some": (
        ["8.8.8.8"], {"ALL_PROXY": "me:canary@proxy.test:3128", "NO_PROXY": "a.test"}, [],
        "Clips are downloaded by the proxy proxy.test:3128, except from the hosts in NO_PROXY.", "",
    ),
    "a proxy for nobody": (
        ["8.8.8.8"], {"ALL_PROXY": "me:canary@proxy.test:3128", "NO_PROXY": "*"}, [],
        "Clips are downloaded directly.", "",
    ),
    "a tunnel": (
        ["198.18.0.7"], {}, [],
        "Clips are downloaded directly. Addresses in 198.18.0.0/15 count as public: "
        "api.test has one, so a tunnel makes them.", "",
    ),
    "a network of the owner's": (
        ["10.0.0.1"], {}, ["10.0.0.0/8", "fd00::/8"],
        "Clips are downloaded directly. Addresses in 10.0.0.0/8, fd00::/8 count as public: "
        "S2V_FILE_NETWORKS names them.", "",
    ),
    "a private address": (
        ["10.0.0.1"], {}, [], "Clips are downloaded directly.",
        "api.test has the address 10.0.0.1 here, which is not public: a clip from such an address is paid and then "
        "refused. Before you pay, name its network in S2V_FILE_NETWORKS, or the proxy that leads out in HTTPS_PROXY.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("found", "environment", "networks", "says", "refused"), WAYS.values(), ids=WAYS)
async def test_which_way_clips_come_is_told_before_they_are_paid(
    found: list[str],
    environment: dict[str, str],
    networks: list[str],
    says: str,
    refused: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    names = Names({"api.test": [found]} if found else {})
    told = await way("https://api.test/v1", networks=list(map(ip_network, networks)), resolve=names)
    assert told == (says, refused)


async def test_check_tells_the_way_and_no_password(
    service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://me:canary@proxy.test:3128")
    networks = (ip_network("10.0.0.0/8"),)
    await _check(Settings(api_key=KEY, base_url=service.base_url, file_networks=networks))
    out, err = capsys.readouterr()
    assert (
        "Clips are downloaded by the proxy proxy.test:3128, except from 127.0.0.1. "
        "Addresses in 10.0.0.0/8 count as public: S2V_FILE_NETWORKS names them.\n"
    ) in out
    assert "canary" not in out + err


async def test_a_clip_behind_a_refused_link_is_paid_and_fetchable_later(
    service: Service, open_door: OpenDoor, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "s2v_core")
    door = await open_door("127.0.0.1")
    link = f"http://127.0.0.1:{door.port}/a?Signature=canary"
    service.retrieve = [lambda: service.link(download_url=link, backup_download_url=link)]
    async with Client(service.base_url, KEY, timing=FAST) as client:
        with pytest.raises(NotDownloaded, match=r"not plain https on port 443.*It is paid.*Fetch it later") as caught:
            await client.fetch(FILE, tmp_path / "clip.mp4", task_id=TASK)
    assert (len(service.calls("retrieve")), door.visits) == (4, 0)
    assert caught.value.task_id == TASK
    assert "not plain https" in caplog.text
    assert "canary" not in caplog.text + str(caught.value)


async def test_a_base_url_that_is_not_on_loopback_opens_no_loopback_address(
    open_door: OpenDoor, tmp_path: Path
) -> None:
    door = await open_door("127.0.0.1")
    base_url = f"https://clips.test:{door.port}/v1"
    names = Names({"clips.test": [["127.0.0.1"]]})
    transport = PublicTransport(ssl.create_default_context(), base_url=base_url, resolve=names)
    with pytest.raises(DownloadFailed, match="not plain https on port 443"):
        await download(f"{base_url}/a", tmp_path / "clip.mp4", transport=transport)
    assert door.visits == 0
