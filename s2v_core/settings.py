"""The environment, read once and checked."""

import math
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx

from . import providers
from .addresses import Network, is_loopback
from .errors import SettingsError
from .language import gettext
from .mounts import MOUNTINFO, ledger_folder, network_mount

_Value = TypeVar("_Value")
# An empty ledger, and more.
_ROOM_BYTES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the owner of an installation can turn. Seconds are floats.

    `data_mount` is the type of the network mount that holds the data directory, if an SQLite ledger is to lie there;
    then `ledger_dir` is where it lies.
    """

    api_key: str = field(default="", repr=False)
    base_url: str = providers.BASE_URL
    data_dir: Path = Path("data")
    data_mount: str = ""
    ledger_dir: Path | None = None
    database_url: str = field(default="", repr=False)
    clips_per_day: int = 20
    clips_per_visitor: int | None = None
    trusted_hops: int = 0
    keep_hours: float | None = None
    concurrent: int = 3
    per_minute: int = 5
    waiting: int = 20
    file_networks: tuple[Network, ...] = ()
    poll_seconds: float = 4.0
    simulator_seconds: float = 8.0
    hosts: tuple[str, ...] = ()
    space: str = ""
    space_host: str = ""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] = os.environ, *, mountinfo: Path = MOUNTINFO
    ) -> "Settings":
        """Raises `SettingsError`, which names the variable and never its content."""

        def read(name: str, check: Callable[[str], _Value], default: _Value) -> _Value:
            text = environment.get(name, "")
            if not text:
                return default
            try:
                return check(text)
            except SettingsError as error:
                raise SettingsError(f"{name}: {error}") from None

        usual = cls()
        on_space = "SPACE_ID" in environment
        data_dir = Path("/data/s2v") if on_space and Path("/data").is_dir() else usual.data_dir
        data_dir = read("S2V_DATA_DIR", check_folder, None) or usual_folder("S2V_DATA_DIR", data_dir)
        database_url = read("S2V_DATABASE_URL", str, usual.database_url)
        data_mount = "" if database_url else network_mount(data_dir, mountinfo)
        ledger_dir = usual_folder("S2V_DATABASE_URL", ledger_folder(data_dir, mountinfo)) if data_mount else None
        return cls(
            api_key=read("S2V_API_KEY", check_key, usual.api_key),
            base_url=read("S2V_BASE_URL", check_base_url, usual.base_url),
            data_dir=data_dir,
            data_mount=data_mount,
            ledger_dir=ledger_dir,
            database_url=database_url,
            clips_per_day=read("S2V_CLIPS_PER_DAY", _count, usual.clips_per_day),
            clips_per_visitor=read("S2V_CLIPS_PER_VISITOR", _count, 3 if on_space else None),
            trusted_hops=read("S2V_TRUSTED_HOPS", _hops, 1 if on_space else 0),
            keep_hours=read("S2V_KEEP_HOURS", _hours, 24.0 if on_space else None),
            concurrent=read("S2V_CONCURRENT", _positive, usual.concurrent),
            per_minute=read("S2V_PER_MINUTE", _positive, usual.per_minute),
            waiting=read("S2V_WAITING", _count, usual.waiting),
            file_networks=read("S2V_FILE_NETWORKS", _networks, usual.file_networks),
            poll_seconds=read("S2V_POLL_SECONDS", _seconds, usual.poll_seconds),
            simulator_seconds=read("S2V_SIMULATOR_SECONDS", _seconds, usual.simulator_seconds),
            hosts=read("S2V_HOSTS", _hosts, usual.hosts),
            space=read("SPACE_ID", _space, usual.space),
            space_host=read("SPACE_HOST", _host, usual.space_host) if on_space else "",
        )

    @property
    def framers(self) -> list[str]:
        """Origins of pages that may show this one in a frame: on a Space alone."""
        hosts = ("huggingface.co", self.space_host) if self.space else ()
        return [f"https://{host}" for host in hosts if host]

    @property
    def ledger_url(self) -> str | Path:
        """A URL, or the file of an SQLite database: its name may hold what means something else in a URL."""
        return self.database_url or (self.ledger_dir or self.data_dir).absolute() / "ledger.db"

    @property
    def ledger_moved(self) -> bool:
        """Whether the ledger lies apart from photos and clips, and can be lost without them."""
        return self.ledger_dir not in (None, self.data_dir)

    @property
    def ledger_risk(self) -> str:
        """What a network mount below the data directory means, and what to do; empty if there is none."""
        if not self.data_mount:
            return ""
        risk = (
            "The ledger {ledger} is on a network mount ({mount}), and is used there: a crash can lose jobs that were "
            "just paid for, and SQLite's locks may not hold. To be safe, set S2V_DATABASE_URL once no job is under way."
        )
        if self.ledger_moved:
            risk = (
                "{folder} is on a network mount ({mount}), where SQLite is not safe, so the ledger is {ledger}. If "
                "this disk is lost, as a Space's is at each restart, so are all tickets and the count of today's "
                "clips; photos and clips stay on the mount until you delete them. To keep the tickets, set "
                "S2V_DATABASE_URL."
            )
        return gettext(risk, folder=self.data_dir.absolute(), mount=self.data_mount, ledger=self.ledger_url)


@dataclass(frozen=True, slots=True)
class Key:
    """A visitor's own; in memory only. Raises `SettingsError`."""

    text: str = field(repr=False)

    def __post_init__(self) -> None:
        check_key(self.text)

    def __reduce__(self) -> str:
        raise TypeError("a key cannot be pickled")

    @property
    def mask(self) -> str:
        """`sk-…1b2c`: enough for its owner to know it by; nothing of a short one."""
        return f"{self.text[:3]}…{self.text[-4:]}" if len(self.text) >= 16 else "…"


def check_key(key: str) -> str:
    """A key that fits into a header. Raises `SettingsError`."""
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise SettingsError(gettext("a key is one line of printable ASCII without spaces."))
    return key


def check_base_url(url: str) -> str:
    """`https`, or `http` on a loopback address; no user, query or fragment. Raises `SettingsError`."""
    try:
        parts = urlsplit(url)
        # What connects reads it more strictly.
        _ = parts.port, httpx.URL(url).host
    except (ValueError, httpx.InvalidURL):
        raise SettingsError("this is no URL.") from None
    if not parts.hostname or parts.username or parts.password or parts.query or parts.fragment or " " in url:
        raise SettingsError("a base URL has a scheme, a host and a path, and nothing else.")
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname)):
        raise SettingsError("a base URL is https, or http on a loopback address.")
    return url.rstrip("/")


def _space(text: str) -> str:
    # It becomes a part of a link.
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", text, re.ASCII):
        raise SettingsError("this is a Space's owner and name, with a slash between.")
    return text


def _host(text: str) -> str:
    name = text.strip().lower().removesuffix(".")
    if not re.fullmatch(r"[\w-]+(\.[\w-]+)*", name, re.ASCII):
        raise SettingsError("this is host names, with commas between: without scheme, port or path.")
    return name


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(map(_host, text.split(",")))


def check_folder(text: str) -> Path:
    """Make the folder and write to it, as a full disk shows only then. Raises `SettingsError`."""
    try:
        Path(text).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        raise SettingsError(f"this folder cannot be made{_why(error)}.") from None
    try:
        with tempfile.TemporaryFile(dir=text) as file:
            file.write(bytes(_ROOM_BYTES))
    except OSError as error:
        raise SettingsError(f"this folder cannot be written to{_why(error)}.") from None
    return Path(text)


def _networks(text: str) -> tuple[Network, ...]:
    try:
        # Tunnels write their own address there: 198.18.0.1/16.
        return tuple(ip_network(each.strip(), strict=False) for each in text.split(","))
    except ValueError:
        raise SettingsError("these are networks with commas between, such as 198.18.0.0/15,fc00::/18.") from None


def usual_folder(name: str, path: Path) -> Path:
    """The same for the folder that is used where the variable `name` is not set."""
    try:
        return check_folder(str(path))
    except SettingsError as error:
        raise SettingsError(f"{name} is not set, and {path.absolute()} is used: {error}") from None


def _why(error: Exception) -> str:
    return f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""


def _number(text: str, least: float, most: float, unit: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        raise SettingsError(f"this is a number of {unit}, from {least:g} to {most:g}.")
    return number


def _seconds(text: str) -> float:
    return _number(text, 0.01, 3600, "seconds")


def _hours(text: str) -> float:
    return _number(text, 0.01, 100_000, "hours")


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6:
        raise SettingsError("this is a whole number, from 0 to 999999.")
    return int(text)


def _positive(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 6 or not int(text):
        raise SettingsError("this is a whole number, from 1 to 999999.")
    return int(text)


def _hops(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 1:
        raise SettingsError("this is a whole number of proxies, from 0 to 9.")
    return int(text)
