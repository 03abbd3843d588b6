"""How much of the web server one visitor may use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Per visitor, except for `cache_bytes`, `tool_bytes_at_once`, `errors_per_minute`, `visitors` and `sessions`.

    Times are in seconds.

    `stream_pause` is how long an event is held back at most, until its page knows that the stream before it is over.
    """

    calls_per_minute: int = 600
    # Gradio runs a thousand at once for all visitors together.
    concurrent_calls: int = 50
    call_bytes: int = 64_000
    call_seconds: float = 30.0
    # A photo of 2 MB as base64; in memory it takes several times as much.
    tool_bytes: int = 3_000_000
    tool_bytes_at_once: int = 30_000_000
    concurrent_tool_calls: int = 10
    uploads_per_minute: int = 10
    upload_seconds: float = 120.0
    upload_kept_seconds: float = 86_400.0
    cache_bytes: int = 500_000_000
    # A page holds a heartbeat open all the time, and a stream only while it waits for a clip.
    streams: int = 4
    heartbeats: int = 16
    uploads: int = 4
    requests: int = 200
    # Those that reach the log.
    errors_per_minute: int = 20
    visitors: int = 10_000
    sessions: int = 500
    stream_pause: float = 2.0


USUAL = ServerLimits()
