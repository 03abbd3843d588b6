"""Processes for tests, forked from one that has imported the slow part of them already."""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["gradio", "s2v_core.jobs.studio", "s2v_core.simulator.service", "tests.support.service"]
)


def run(program: tuple[str, ...], environment: dict[str, str], log: Path) -> None:
    """What `python` does with `app.py`, or with `-c` and a text; what it says goes into `log`."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    said = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number, stream in ((1, sys.stdout), (2, sys.stderr)):
        os.dup2(said, number)
        stream.reconfigure(line_buffering=True)
    sys.path[0:0] = [str(ROOT)]
    sys.argv = list(program)
    if program[0] == "-c":
        exec(program[1], {"__name__": "__main__"})
    else:
        runpy.run_path(program[0], run_name="__main__")
