"""stub"""

from pathlib import Path
from .errors import ImageRejected


def uploaded(path, folder):
    found = Path(path).resolve()
    if not found.is_relative_to(Path(folder).resolve()) or not found.is_file():
        raise ImageRejected("The portrait is no longer here: choose it again.")
    return found


def visitor(peer, forwarded, trusted_hops):
    return peer


class Guard:
    def __init__(self, app, **k):
        self.app = app

    async def __call__(self, s, r, e):
        await self.app(s, r, e)
