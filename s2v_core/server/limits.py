"""How much of the web server one visitor may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """In bytes and seconds. `cache_bytes`, `visitors` and `sessions` are of all visitors together, the rest of one.

    An event is held back for `stream_pause`, in which the end of the event stream before it can reach the page.
    """

    calls_per_minute: int = 600
    # All visitors' calls share a thousand places.
    concurrent_calls: int = 50
    call_bytes: int = 64_000
    call_seconds: float = 30.0
    uploads_per_minute: int = 10
    upload_seconds: float = 120.0
    upload_kept_seconds: float = 86_400.0
    cache_bytes: int = 500_000_000
    # A page holds a heartbeat as long as it is open, and a stream only while it waits for a clip.
    streams: int = 4
    heartbeats: int = 16
    uploads: int = 4
    requests: int = 200
    # Of all visitors, in the log.
    errors_per_minute: int = 20
    visitors: int = 10_000
    sessions: int = 500
    stream_pause: float = 0.25


USUAL = ServerLimits()
