"""One portrait and one sentence become a six-second clip, with MiniMax S2V-01."""

__version__ = "1.0.0"

from .client import Client, Timing
from .errors import (
    Busy,
    Charge,
    ChargeUnknown,
    Failed,
    ImageRejected,
    InputRejected,
    NotDownloaded,
    PromptRejected,
    RatioRejected,
    Refused,
    S2VError,
    SettingsError,
    UnknownTicket,
)
from .photo.prepare import Photo, prepare
from .settings import Settings
from .wire import Status, Task

__all__ = [
    "Busy",
    "Charge",
    "ChargeUnknown",
    "Client",
    "Failed",
    "ImageRejected",
    "InputRejected",
    "NotDownloaded",
    "Photo",
    "PromptRejected",
    "RatioRejected",
    "Refused",
    "S2VError",
    "Settings",
    "SettingsError",
    "Status",
    "Task",
    "Timing",
    "UnknownTicket",
    "prepare",
]
