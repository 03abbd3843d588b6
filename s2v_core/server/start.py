"""The page's settings, to be read before Gradio is imported, which reads its own from the environment as it is."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import gettempdir

from ..errors import SettingsError
from ..network import VARIABLES, check_network
from ..output import fill_standard_streams
from ..settings import Settings, check_folder, usual_folder

# Whole numbers to Gradio, each with what it may be.
_NUMBERS = {
    "GRADIO_SERVER_PORT": (1, 65535), "GRADIO_NUM_PORTS": (1, 65535), "GRADIO_NODE_NUM_PORTS": (1, 65535),
    "GRADIO_DEBUG": (0, 1), "GRADIO_NUM_WORKERS": (0, 999), "GRADIO_ANALYTICS_MAX_EVENTS": (1, 999_999),
    "GRADIO_ANALYTICS_CACHE_FREQUENCY": (1, 999_999), "GRADIO_DEFAULT_CONCURRENCY_LIMIT": (1, 999_999),
}  # fmt: skip
# What Gradio cannot start with, and the simulator does not need: away until the page is there.
aside: dict[str, str] = {}


def check_gradio(environment: Mapping[str, str] = os.environ) -> None:
    """Raises `SettingsError`, which names the variable."""
    for name, (least, most) in _NUMBERS.items():
        text = environment.get(name, str(least))
        if not (text.isascii() and text.isdigit() and len(text) < 7 and least <= int(text) <= most):
            raise SettingsError(f"{name}: this is a whole number, from {least} to {most}.")
    if folder := environment.get("GRADIO_TEMP_DIR"):
        try:
            check_folder(folder)
        except SettingsError as error:
            raise SettingsError(f"GRADIO_TEMP_DIR: {error}") from None
    else:
        # On a machine of many people it may be another's.
        usual_folder("GRADIO_TEMP_DIR", Path(gettempdir()) / "gradio")


def start() -> Settings:
    """The settings; a wrong one ends the process with its sentence."""
    try:
        return _start()
    except SettingsError as error:
        print(error, file=sys.stderr)
        raise SystemExit(2) from None


def _start() -> Settings:
    fill_standard_streams()
    # Gradio imports numpy, whose threads would wait for each other: as in `photo/face.py`.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = Settings.from_environment()
    check_gradio()
    try:
        check_network()
    except SettingsError as error:
        if settings.api_key:
            raise
        print(f"{error} The simulator works without it.", file=sys.stderr)
        aside.update({name: os.environ.pop(name) for name in list(os.environ) if name.upper() in VARIABLES})
    return settings
