"""What the outside may reach of this machine's files."""

from pathlib import Path

from .errors import ImageRejected


def uploaded(path: str, folder: Path) -> Path:
    """A file that was uploaded here, whatever path a request names. Raises `ImageRejected`."""
    try:
        found = Path(path).resolve()
        if found.is_relative_to(folder.resolve()) and found.is_file():
            return found
    except (OSError, ValueError):
        pass
    raise ImageRejected("The portrait is no longer here: choose it again.")
