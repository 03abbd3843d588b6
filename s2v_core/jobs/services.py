"""Who is asked by a click, who pays, and with which key; keys live in memory only."""

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from starlette.types import Receive, Scope, Send

from .. import providers
from ..client import Client
from ..errors import InputRejected
from ..reasons import Reason
from .model import Payer

SIMULATOR_URL = "https://simulator/minimaxi/v1"
# In place of a fingerprint: the simulator needs no key.
NO_KEY = ""


@dataclass(frozen=True, slots=True)
class Service:
    """One that a click can use; `price` in thousandths of a PTC, None where only the provider knows."""

    name: str
    label: str
    price: int | None
    payer: Payer

    @classmethod
    def at(cls, name: str, base_url: str, payer: Payer) -> "Service":
        return cls(name, providers.provider(base_url), providers.price(base_url), payer)

    @property
    def simulated(self) -> bool:
        return self.payer is Payer.NOBODY

    def columns(self, fingerprint: str) -> dict[str, Any]:
        """What a job's row says of it and of the key that pays."""
        return {
            "service": "simulator" if self.simulated else "live",
            "provider": self.label,
            "amount": self.price,
            "payer": self.payer,
            "key": fingerprint,
        }


class Simulated(Protocol):
    """The service as an ASGI app; a job on it sends nothing off this machine."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def knows(self, task_id: str) -> bool:
        """Whether it is one of this machine's tasks."""

    def forget(self, task_id: str) -> None:
        """The task leaves the disk, and its photo, prompt and clip with it."""


class Services:
    """The simulator, the service at the owner's cost, and the same at the cost of a visitor with an `own` key."""

    def __init__(self, base_url: str, *, owner_has_key: bool) -> None:
        self.simulator = Service.at("simulator", SIMULATOR_URL, Payer.NOBODY)
        self.live = Service.at("live", base_url, Payer.OWNER)
        self.own = Service.at("own", base_url, Payer.VISITOR)
        self.default = self.live if owner_has_key else self.simulator

    def __getitem__(self, name: str) -> Service:
        """Raises `InputRejected`: the live one needs the owner's key."""
        for service in (self.simulator, self.default, self.own):
            if service.name == name:
                return service
        raise InputRejected(Reason.NO_SERVICE, {"name": name})


class KeyRing:
    """A client for each key, by the key's fingerprint; that of the `owner` stays."""

    def __init__(
        self, fingerprint: Callable[[str], str], connect: Callable[[str], Client], *, simulator: Client, owner: str
    ) -> None:
        self._clients = {NO_KEY: simulator}
        self._connect, self._fingerprint = connect, fingerprint
        self._last_used: dict[str, float] = {}
        self.owner = self.remember_key(owner) if owner else NO_KEY

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self._clients

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._clients))

    def key_for(self, payer: Payer, own: str | None) -> str:
        """The fingerprint of the key that pays. Raises `SettingsError`, or `InputRejected` without an `own` one."""
        if payer is Payer.VISITOR:
            if not own:
                raise InputRejected(Reason.KEY_FORGOTTEN)
            return self.remember_key(own)
        return self.owner if payer is Payer.OWNER else NO_KEY

    def remember_key(self, key: str) -> str:
        """Take a key into memory, for as long as a job needs it; its fingerprint. Raises `SettingsError`."""
        fingerprint = self._fingerprint(key)
        if fingerprint not in self._clients:
            self._clients[fingerprint] = self._connect(key)
        self._last_used[fingerprint] = time.monotonic()
        return fingerprint

    def client(self, fingerprint: str) -> Client:
        return self._clients[fingerprint]

    async def forget_idle_keys(self, seconds: float, in_use: Callable[[], Awaitable[set[str]]]) -> None:
        """What was not used for so long, and no job needs, leaves the memory."""

        def idle() -> set[str]:
            return {key for key, at in self._last_used.items() if time.monotonic() - at > seconds} - {self.owner}

        if found := idle():
            found -= await in_use()
            # Used again while the ledger was asked?
            for key in found & idle():
                del self._last_used[key]
                await self._clients.pop(key).__aexit__()

    async def close(self) -> None:
        for client in self._clients.values():
            await client.__aexit__()
