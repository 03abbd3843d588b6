"""What four processes on one database do behind nginx, while they are killed: `python -m tests.bench.replicas`."""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

from s2v_core.jobs.model import Pace

from ..support import postgresql
from ..support.clips import small_clip
from ..support.replicas import Replicas, clip_at, orders, replicas, status, takeover
from ..support.service import KEY, Service, in_thread, task
from ..support.waiting import wait_until

CAP, ORDERS, EQUAL = 20, 200, 24
WIDE = {"S2V_CONCURRENT": "1000", "S2V_PER_MINUTE": "1000", "S2V_WAITING": "1000"}


def decided(page: Replicas) -> None:
    wait_until(lambda: "queued" not in page.states(), "each is paid or refused", seconds=120)


def payments(folder: Path, service: Service, live: dict[str, str]) -> Iterator[tuple[str, str]]:
    service.query = [task("Processing")]
    limits = {"S2V_CLIPS_PER_DAY": str(CAP), "S2V_CLIPS_PER_VISITOR": str(CAP // 2)}
    with replicas(folder, 4, **limits, **WIDE, **live) as page:
        orders(page, ["The same."] * EQUAL, visitors=1)
        decided(page)
        yield f"payments of {EQUAL} equal orders", str(len(service.calls("submit")))
        orders(page, [f"One visitor, {number}." for number in range(ORDERS // 4)], visitors=1)
        decided(page)
        yield f"payments of a visitor who may have {CAP // 2}", str(len(service.calls("submit")))
        orders(page, [f"Many visitors, {number}." for number in range(ORDERS)])
        decided(page)
        yield f"payments at a cap of {CAP}, of {ORDERS} orders more", str(len(service.calls("submit")))


def deaths(folder: Path, service: Service, live: dict[str, str]) -> Iterator[tuple[str, str]]:
    with replicas(folder, 4, S2V_CONCURRENT="1", **live) as page:
        for number, state in enumerate(("queued", "sending", "rendering", "fetching")):
            ticket, seconds = takeover(page, service, number, state)
            page.start(number)
            end = status(page.each[number], ticket)
            yield f"killed while a job of its own was {state}", f"{seconds:.1f} s until it is another's, then {end}"
        clips = {clip_at(url, ticket) for url in page.each}
        yield "different clips that the four have of one ticket", str(len(clips))


def figures(folder: Path) -> Iterator[tuple[str, str]]:
    """Each with its value, as soon as it is known."""
    for name, measure in (("payments", payments), ("deaths", deaths)):
        (place := folder / name).mkdir()
        with in_thread(Service(small_clip())) as service:
            yield from measure(place, service, {"S2V_API_KEY": KEY, "S2V_BASE_URL": service.base_url})


def main() -> None:
    argparse.ArgumentParser(prog="python -m tests.bench.replicas", description=__doc__).parse_args()
    print(f"A job is held for {Pace().lease:.0f} s without a sign of life.")
    with postgresql.cluster(), tempfile.TemporaryDirectory() as folder:
        for name, value in figures(Path(folder)):
            print(f"{name}: {value}", flush=True)


if __name__ == "__main__":
    main()
