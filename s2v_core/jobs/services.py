"""Who is asked by a click, at which price, and with which key; keys live in memory only."""

import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

from .. import providers
from ..client import Client


@dataclass(frozen=True, slots=True)
class Service:
    """One that a click can use; `price` in thousandths of a PTC, None where only the provider knows."""

    name: str
    label: str
    price: int | None

    @classmethod
    def at(cls, name: str, base_url: str) -> "Service":
        return cls(name, providers.provider(base_url), providers.price(base_url))


class KeyRing:
    """A client for each key, by the key's fingerprint; `""` stands for the simulator, which needs none."""

    def __init__(self, simulator: Client, connect: Callable[[str], Client], fingerprint: Callable[[str], str]) -> None:
        self._clients = {"": simulator}
        self._connect, self._fingerprint = connect, fingerprint
        self._last_used: dict[str, float] = {}
        self._kept = {""}

    def __contains__(self, fingerprint: str) -> bool:
        return fingerprint in self._clients

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._clients))

    def remember_key(self, key: str, *, for_good: bool = False) -> str:
        """Take a key into memory, for as long as a job needs it; its fingerprint. Raises `SettingsError`."""
        fingerprint = self._fingerprint(key)
        if fingerprint not in self._clients:
            self._clients[fingerprint] = self._connect(key)
        self._last_used[fingerprint] = time.monotonic()
        if for_good:
            self._kept.add(fingerprint)
        return fingerprint

    def client(self, fingerprint: str) -> Client:
        return self._clients[fingerprint]

    async def forget_idle_keys(self, seconds: float, in_use: Callable[[], Awaitable[set[str]]]) -> None:
        """What was not used for so long, and no job needs, leaves the memory."""

        def idle() -> set[str]:
            return {key for key, at in self._last_used.items() if time.monotonic() - at > seconds} - self._kept

        if found := idle():
            found -= await in_use()
            # Used again while the ledger was asked?
            for key in found & idle():
                del self._last_used[key]
                await self._clients.pop(key).__aexit__()

    async def close(self) -> None:
        for client in self._clients.values():
            await client.__aexit__()
