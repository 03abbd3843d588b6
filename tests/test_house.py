"""The order of the rooms: imports go down the floors only, and the core never knows Gradio."""

import ast
from pathlib import Path

import pytest

import s2v_core

ROOT = Path(__file__).parent.parent
FLOORS = [
    {"app", "__main__"},
    {"web"},
    {"desk"},
    {"studio", "guard", "streams", "frontend", "connections", "simulator"},
    {"driver"},
    {"loops", "services", "watch"},
    {"client", "ledger", "start", "preflight", "scene", "shelf", "words"},
    {"download", "upload", "clips", "images", "settings", "jobs"},
    {"wire", "files", "addresses", "container", "stills", "network", "signals"},
    {"errors"},
]
LEVEL = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}
ROOMS = sorted((ROOT / "s2v_core").glob("*.py"))


def imports(path: Path) -> set[str]:
    """Modules, absolute; those of the core by their room's name alone."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(module=None, level=1):
                found |= {alias.name for alias in node.names}
            case ast.ImportFrom(module=str(module), level=1):
                found.add(module)
            case ast.ImportFrom(module=str(module)):
                found.add(module.removeprefix("s2v_core."))
            case ast.Import():
                found |= {alias.name.removeprefix("s2v_core.") for alias in node.names}
    return found


@pytest.mark.parametrize("path", [*ROOMS, ROOT / "app.py", ROOT / "web.py"], ids=lambda path: path.stem)
def test_imports_go_down_the_floors(path: Path) -> None:
    if path.stem == "__init__":
        return
    assert path.stem in LEVEL, "a new room needs a floor"
    for room in imports(path) & LEVEL.keys():
        assert LEVEL[room] > LEVEL[path.stem], f"{path.stem} imports {room}"


@pytest.mark.parametrize("path", ROOMS, ids=lambda path: path.stem)
def test_the_core_does_not_import_gradio(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in {"gradio", "gradio_client"}}


@pytest.mark.parametrize("name", ["app.py", "web.py"])
def test_the_page_touches_neither_http_nor_base64_nor_sql(name: str) -> None:
    assert not {name.split(".")[0] for name in imports(ROOT / name)} & {"httpx", "base64", "sqlalchemy", "sqlite3"}


def test_the_public_names_are_sorted_and_there() -> None:
    assert s2v_core.__all__ == sorted(s2v_core.__all__)
    assert all(hasattr(s2v_core, name) for name in s2v_core.__all__)
