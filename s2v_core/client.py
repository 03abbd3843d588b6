"""Submit, which pays; query and retrieve, which are free; one loop that polls, and a fetch that brings the clip."""

import asyncio
import logging
import math
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import random
from statistics import quantiles
from typing import Self

import httpx

from . import providers, wire
from .addresses import Network, is_loopback
from .download import download, way
from .errors import Busy, ChargeUnknown, DownloadFailed, Failed, NotDownloaded, PollFailed, Refused, S2VError
from .language import Sentence
from .network import certificates, check_network
from .photo.prepare import Photo, PublicLink, Source, accept_async
from .reasons import Reason
from .settings import Settings, check_base_url, check_key
from .text import check_optimizer, check_prompt
from .wire import Link, Task

_log = logging.getLogger(__name__)


def _without_query(record: logging.LogRecord) -> bool:
    args = record.args if isinstance(record.args, tuple) else ()
    record.args = tuple(arg.copy_with(query=None) if isinstance(arg, httpx.URL) else arg for arg in args)
    return True


# It logs each URL as a whole, and a pre-signed one opens a clip for whoever reads it.
logging.getLogger("httpx").addFilter(_without_query)

_ANSWER_BYTES = 1_000_000
_JSON = {"Content-Type": "application/json"}
_MORE_DOWNLOADS = 3
_USUAL_POLL = Settings().poll_seconds
# A longer one is taken for a mistake.
_MOST_RETRY_AFTER = 300.0


async def _stay(response: httpx.Response) -> None:
    # httpx reads where a redirect leads even if it is not followed, and raises what it likes where that is no URL.
    response.headers.pop("Location", None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Seconds. `submit` and `read` are total deadlines for one call, `watch` for a task; after it comes `overdue`.

    A task is asked for once early, as it may fail at once; every `poll` from the time on when it may be `ready`; and
    less often once it is `late`. A `poll` shorter than usual brings the early query, and a `ready` that is not known,
    forward in proportion.
    A task that the service does not know for longer than `unknown_task` is given up.
    """

    submit: float = 120.0
    read: float = 30.0
    poll: float = _USUAL_POLL
    ready: float | None = None
    late: float = math.inf
    slow_poll: float = 20.0
    watch: float = wire.DEADLINE_SECONDS
    overdue: float = 60.0
    backoff: float = 2.0
    unknown_task: float = 60.0

    def learned(self, took: Sequence[float]) -> "Timing":
        """With what is known of how long renders take, the newest first; of fewer than five nothing is.

        One that took longer than a task is watched was found late: it says nothing of the service.
        """
        newest = [each for each in took if each <= self.watch][:50]
        if len(newest) < 5:
            return self
        return replace(self, ready=0.6 * min(newest), late=quantiles(newest, n=20, method="inclusive")[-1])

    @property
    def first(self) -> float:
        """When a task is asked for first, in seconds from its begin."""
        return min(5.0 * self._haste, self._ready)

    def pause(self, elapsed: float, *, random: Callable[[], float] = random) -> float:
        """Until the next query of a task that began `elapsed` seconds ago."""
        for moment in (self.first, self._ready):
            if elapsed < moment:
                return moment - elapsed
        pace = self.poll if elapsed < self.late else 2.5 * self.poll
        return pace * (0.9 + 0.2 * random())

    @property
    def _ready(self) -> float:
        return 30.0 * self._haste if self.ready is None else self.ready

    @property
    def _haste(self) -> float:
        return min(1.0, self.poll / _USUAL_POLL)


class Client:
    """The service behind `base_url`; an async context manager.

    The `transport` carries everything, the downloads too: the simulator is one in this process. Without one, downloads
    come from public addresses, and from `file_networks`. Raises `SettingsError`, also if the environment's proxies or
    certificates cannot work.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        timing: Timing = Timing(),
        file_networks: Sequence[Network] = (),
    ) -> None:
        self.base_url = check_base_url(base_url)
        self.timing = timing
        self._key = check_key(key)
        self._transport = transport
        self._file_networks = file_networks
        loopback = is_loopback(httpx.URL(base_url).host)
        if not transport:
            check_network()
        self._http = httpx.AsyncClient(
            transport=transport,
            verify=certificates() if not transport else True,
            # No keep-alive: a stale connection fails after the body was sent, which looks like "unknown".
            headers={"Authorization": f"Bearer {key}", "Connection": "close"},
            trust_env=not loopback,
            limits=httpx.Limits(max_keepalive_connections=0),
            event_hooks={"response": [_stay]},
            timeout=httpx.Timeout(max(timing.submit, timing.read), connect=10.0, pool=10.0),
        )

    def __repr__(self) -> str:
        return f"Client({self.base_url!r})"

    def __reduce__(self) -> str:
        raise TypeError("a client holds a key and cannot be pickled")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def submit(self, photo: Photo | Source, prompt: str, *, prompt_optimizer: bool = True) -> str:
        """Pay for one clip; the task's id.

        `photo` is a `Photo`, what makes one, or a public https link.
        Raises `InputRejected`, `Refused` (not charged) or `ChargeUnknown` (may be charged; never send it again).
        """
        prompt, prompt_optimizer = check_prompt(prompt), check_optimizer(prompt_optimizer)
        return await self.send(await accept_async(photo), prompt, prompt_optimizer=prompt_optimizer)

    async def send(self, subject: Photo | PublicLink, prompt: str, *, prompt_optimizer: bool) -> str:
        """`submit`, of what has been checked already. Raises `Refused` or `ChargeUnknown`.

        It is sent again, twice at most, only where certainly nothing was charged: no connection, or a rate limit.
        """
        image = subject.data_url if isinstance(subject, Photo) else subject
        body = wire.submit_body(image, prompt, prompt_optimizer=prompt_optimizer)
        for wait in (self.timing.backoff, 2 * self.timing.backoff):
            try:
                return await self._submit_once(body)
            except (Busy, _NotSent) as error:
                _log.info("submit not taken (%s), next try in %.0f s", type(error).__name__, wait)
                try:
                    await asyncio.sleep(wait)
                except asyncio.CancelledError:
                    # Between two tries nothing is on its way: whoever stops it here learns that.
                    raise error from None
        return await self._submit_once(body)

    async def _submit_once(self, body: bytes) -> str:
        received, status = bytearray(), 0
        try:
            async with (
                asyncio.timeout(self.timing.submit),
                self._http.stream("POST", self.base_url + wire.SUBMIT, content=body, headers=_JSON) as response,
            ):
                status = response.status_code
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > _ANSWER_BYTES:
                        break
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            raise _NotSent(Reason.NOT_REACHED, {"provider": self.provider}) from None
        except (httpx.ProxyError, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise Refused(Reason.NOT_SENT, {"kind": type(error).__name__}) from None
        except (httpx.HTTPError, ssl.SSLError, TimeoutError):
            if not status:
                raise ChargeUnknown(Reason.ANSWER_LOST, {"provider": self.provider}) from None
        # Cut off or whole: a status that refuses has refused, and a task id that came is a fact.
        with self._key_hidden():
            return wire.read_submit(status, bytes(received))

    async def query(self, task_id: str) -> Task:
        """Ask once. Raises `Failed`, `NotDownloaded` (asking again is of no use now) or `PollFailed`."""
        response, body = await self._get(wire.QUERY, task_id=task_id)
        retry_after = wire.read_retry_after(response.headers.get("Retry-After", ""), time.time())
        with self._key_hidden():
            return wire.read_query(task_id, response.status_code, body, retry_after)

    async def retrieve(self, file_id: str) -> Link:
        """Ask once for a fresh download URL. Raises `NotDownloaded` or `PollFailed`."""
        response, body = await self._get(wire.RETRIEVE, file_id=file_id)
        with self._key_hidden():
            return wire.read_retrieve(response.status_code, body)

    async def check(self) -> None:
        """Ask, for free, whether the key is accepted. Raises `Refused`, or `PollFailed` where that stays open."""
        try:
            # assumed: no task has this id, and the key is looked at first
            await self.query("1")
        except NotDownloaded as error:
            raise Refused(error.reason or error.what, error.facts) from None
        except Failed:
            return
        except PollFailed as news:
            if not news.unknown_task:
                raise

    async def watch(self, task_id: str, *, timing: Timing | None = None, elapsed: float = 0.0) -> AsyncIterator[Task]:
        """Every answer up to the one with a `file_id`; bad answers are ridden out until the deadline.

        The task began `elapsed` seconds ago. Raises `Failed` or `NotDownloaded`.
        """
        timing = timing or self.timing
        began, unknown_since = time.monotonic() - elapsed, math.inf
        pause, backoff = max(0.0, timing.first - elapsed), timing.poll
        while True:
            await asyncio.sleep(pause)
            least = 0.0
            try:
                task = await self.query(task_id)
            except PollFailed as news:
                _log.info("task %s: %s", task_id, news)
                if news.unknown_task:
                    unknown_since = min(unknown_since, time.monotonic())
                    if time.monotonic() - unknown_since > timing.unknown_task:
                        raise NotDownloaded(Reason.UNKNOWN_TASK, {"provider": self.provider}, task_id=task_id) from None
                if news.retry_after is not None:
                    least = min(news.retry_after, _MOST_RETRY_AFTER)
                elif news.slow:
                    least = timing.slow_poll
                else:
                    least = backoff = min(1.5 * backoff, timing.slow_poll)
            else:
                yield task
                if task.file_id:
                    return
                unknown_since, backoff = math.inf, timing.poll
            elapsed = time.monotonic() - began
            if elapsed >= timing.watch:
                raise NotDownloaded(Reason.NO_CLIP_YET, {"minutes": round(timing.watch / 60)}, task_id=task_id)
            pause = min(max(timing.pause(elapsed), least), timing.watch - elapsed)

    async def fetch(self, file_id: str, path: str | Path, *, task_id: str | None = None) -> Path:
        """Save the clip, whole, as `path`. Raises `NotDownloaded`."""
        path = Path(path)
        link, detail = Link(""), ""
        try:
            for attempt in range(_MORE_DOWNLOADS + 1):
                if attempt:
                    await asyncio.sleep(self.timing.backoff * attempt)
                try:
                    link = await self.retrieve(file_id)
                    await self._download(link.url, path)
                except PollFailed as error:
                    detail = Sentence("the service gave no link to it")
                    _log.info("file %s: %s", file_id, error)
                except DownloadFailed as error:
                    detail = error.args[0]
                    _log.info("file %s: %s", file_id, error)
                else:
                    return path
            if link.backup_url:
                await self._download(link.backup_url, path)
                return path
        except DownloadFailed as error:
            detail = error.args[0]
        except OSError as error:
            raise NotDownloaded(Reason.NOT_WRITTEN, {"detail": str(error.strerror)}, task_id=task_id) from None
        except NotDownloaded as error:
            error.task_id = task_id
            raise
        raise NotDownloaded(Reason.NOT_DOWNLOADED, {"detail": detail}, task_id=task_id)

    async def way(self) -> tuple[str, str]:
        """How clips come here, and what would be refused of them, empty if nothing is: sentences for people."""
        return await way(self.base_url, networks=self._file_networks)

    async def _download(self, url: str, path: Path) -> None:
        await download(url, path, base_url=self.base_url, networks=self._file_networks, transport=self._transport)

    @property
    def provider(self) -> str:
        return providers.provider(self.base_url)

    async def _get(self, path: str, **params: str) -> tuple[httpx.Response, bytes]:
        received = bytearray()
        try:
            async with (
                asyncio.timeout(self.timing.read),
                self._http.stream("GET", self.base_url + path, params=params) as response,
            ):
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > _ANSWER_BYTES:
                        break
        except (httpx.HTTPError, ssl.SSLError, TimeoutError) as error:
            raise PollFailed(Reason.NO_ANSWER, {"provider": self.provider, "kind": type(error).__name__}) from None
        return response, bytes(received)

    @contextmanager
    def _key_hidden(self) -> Iterator[None]:
        # A service may repeat the key in its message, and messages are shown, at times cut.
        try:
            yield
        except S2VError as error:
            said = str(error.facts.get("said", "")).replace(self._key, "[key]")
            for length in range(len(self._key) - 1, 7, -1):
                said = said.replace(self._key[:length] + "…", "[key]…")
            if said:
                error.facts["said"] = said
            raise


class _NotSent(Refused):
    """Nothing left this machine, so the same submit may be sent again."""
