"""What those see who watch a job, whenever they come to it."""

from s2v_core.jobs.async_ledger import AsyncLedger
from s2v_core.jobs.model import State
from s2v_core.jobs.watch import Watch

from ..support.ledgers import LedgerDriver


async def test_an_end_is_seen_by_who_read_the_job_long_before_watching_it(driver: LedgerDriver) -> None:
    driver.rendering("one")
    read = driver.job("one")
    driver.put("one", state=State.FAILED)
    driver.ago("one", changed_at=3600)
    watch = Watch(AsyncLedger(driver.ledger))
    seen = []
    async for job in watch.follow(read):
        seen.append(job.state)
        await watch.poll_changes()
    assert seen == [State.RENDERING, State.FAILED]


async def test_who_comes_with_an_older_look_turns_nothing_back_for_long(driver: LedgerDriver) -> None:
    driver.rendering("one")
    read = driver.job("one")
    watch = Watch(AsyncLedger(driver.ledger))
    first = watch.follow(read)
    await anext(first)
    driver.put("one", state=State.FETCHING)
    await watch.poll_changes()
    assert (await anext(first)).state is State.FETCHING
    late = watch.follow(read)
    await anext(late)
    await watch.poll_changes()
    assert [(await anext(each)).state for each in (first, late)] == [State.FETCHING, State.FETCHING]
    for each in (first, late):
        await each.aclose()
