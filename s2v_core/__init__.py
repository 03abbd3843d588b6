"""One portrait and one sentence become a six-second clip, with MiniMax S2V-01."""

from .client import Client, Patience
from .errors import (
    Busy,
    Charge,
    Failed,
    ImageRejected,
    InputRejected,
    PromptRejected,
    RatioRejected,
    Refused,
    S2VError,
    SettingsError,
    Unclear,
    Unfinished,
    UnknownTicket,
)
from .photo.prepare import Photo, prepare
from .settings import Settings
from .wire import Status, Task

__all__ = [
    "Busy",
    "Charge",
    "Client",
    "Failed",
    "ImageRejected",
    "InputRejected",
    "Patience",
    "Photo",
    "PromptRejected",
    "RatioRejected",
    "Refused",
    "S2VError",
    "Settings",
    "SettingsError",
    "Status",
    "Task",
    "Unclear",
    "Unfinished",
    "UnknownTicket",
    "prepare",
]
