"""The order of the rooms: imports go down the floors only, and the core never knows Gradio."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import s2v_core

ROOT = Path(__file__).parent.parent
CORE = ROOT / "s2v_core"
# Every package of the core may import the root, `photo`, `clip`, and what stands here.
WINGS = {
    "photo": set(), "clip": set(), "jobs": set(), "simulator": set(), "page": {"jobs"}, "server": set(),
    "commands": {"jobs", "simulator", "page", "server"},
}  # fmt: skip
# And the command line, which is a file of the root.
TOP = {CORE / "__main__.py": {"commands", "server"}}
BESIDE = {"photo", "clip"}
FILES = sorted(CORE.rglob("*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def imports(path: Path) -> set[str]:
    """Modules, absolute: `httpx`, `s2v_core.jobs.ledger`."""
    package, found = path.relative_to(ROOT).parent.parts, set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.ImportFrom(level=0, module=str(module)):
                found |= {f"{module}.{alias.name}" for alias in node.names}
            case ast.ImportFrom(level=level, module=module):
                start = ".".join([*package[: len(package) - level + 1], *filter(None, [module])])
                found |= {f"{start}.{alias.name}" for alias in node.names}
            case ast.Import():
                found |= {alias.name for alias in node.names}
    return found


def rooms(path: Path) -> set[str]:
    """What a file imports of the core: the names of packages, and of the root's files."""
    return {name.split(".")[1] for name in imports(path) if name.startswith("s2v_core.")}


def test_every_package_of_the_core_has_its_rule() -> None:
    assert {path.parent.name for path in CORE.glob("*/__init__.py")} == WINGS.keys()


@pytest.mark.parametrize("path", FILES, ids=named)
def test_imports_go_down_the_floors(path: Path) -> None:
    wing = "" if path.parent == CORE else path.parent.name
    allowed = BESIDE | (WINGS[wing] if wing else TOP.get(path, set()))
    assert not (rooms(path) & WINGS.keys()) - allowed - {wing}


@pytest.mark.parametrize("path", FILES, ids=named)
def test_the_core_does_not_import_gradio(path: Path) -> None:
    assert not {name for name in imports(path) if name.split(".")[0] in {"gradio", "gradio_client"}}


def test_the_page_touches_neither_http_nor_base64_nor_sql() -> None:
    found = {name.split(".")[0] for name in imports(ROOT / "app.py")}
    assert not found & {"httpx", "base64", "sqlalchemy", "sqlite3"}


def test_the_public_names_are_sorted_and_there() -> None:
    assert s2v_core.__all__ == sorted(s2v_core.__all__)
    assert all(hasattr(s2v_core, name) for name in s2v_core.__all__)


def test_the_client_alone_costs_nothing_of_what_stands_above_it() -> None:
    script = "import sys, s2v_core; print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert not {*loaded.stdout.split()} & {"av", "sqlalchemy", "starlette", "gradio", "numpy", "PIL"}


def test_a_page_starts_without_what_only_a_clip_needs() -> None:
    script = "import sys, s2v_core.jobs.studio, s2v_core.simulator.service; print('av' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True).stdout == "False\n"
