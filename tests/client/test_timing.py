"""When a task is asked for: once early, then from when its clip may be ready on."""

import pytest

from s2v_core import Timing

TOOK = [200.0, 60.0, 90.0, 120.0, 140.0]


def middle() -> float:
    return 0.5


def asked(timing: Timing, until: float) -> list[float]:
    """The moments of the queries, where answers take no time."""
    moments = [timing.first]
    while moments[-1] < until:
        moments.append(round(moments[-1] + timing.pause(moments[-1], random=middle), 3))
    return moments


@pytest.mark.parametrize(
    ("timing", "moments"),
    [
        (Timing(), [5.0, 30.0, 34.0, 38.0, 42.0]),
        (Timing().learned(TOOK), [5.0, 36.0, 40.0, 44.0]),
        (Timing().learned(TOOK[1:]), [5.0, 30.0, 34.0, 38.0, 42.0]),
        (Timing().learned([7.0] * 5), [4.2, 8.2, 18.2, 28.2]),
        (Timing(poll=0.4), [0.5, 3.0, 3.4, 3.8]),
        (Timing(poll=20.0), [5.0, 30.0, 50.0]),
        (Timing(poll=0.5, ready=0.0), [0.0, 0.5, 1.0, 1.5]),
    ],
    ids=["unknown", "five known", "four known", "all quick", "in a hurry", "in no hurry", "at once"],
)
def test_the_first_query_is_early_and_the_next_when_a_clip_may_be_ready(timing: Timing, moments: list[float]) -> None:
    assert asked(timing, moments[-1]) == moments


def test_what_takes_longer_than_nearly_all_is_asked_for_less_often() -> None:
    timing = Timing().learned(TOOK)
    assert (timing.ready, timing.late) == (36.0, pytest.approx(188.0))
    assert [timing.pause(elapsed, random=middle) for elapsed in (187.0, 189.0)] == [4.0, 10.0]


def test_what_was_found_long_after_it_was_ready_does_not_count() -> None:
    # As of a job whose server was away for a night.
    assert Timing().learned([30_000.0] * 40 + TOOK).ready == 36.0
    assert Timing().learned([30_000.0] * 40).ready is None


def test_only_the_newest_fifty_count() -> None:
    assert Timing().learned([100.0] * 50 + [10.0]).ready == 60.0
    assert Timing().learned([100.0] * 49 + [10.0]).ready == 6.0


def test_pauses_differ_by_a_tenth_either_way_but_the_early_waits_do_not() -> None:
    for elapsed, pauses in ((40.0, [3.6, 4.0, 4.4]), (5.0, [25.0] * 3), (0.0, [5.0] * 3)):
        found = [Timing().pause(elapsed, random=lambda part=part: part) for part in (0.0, 0.5, 1.0)]
        assert found == pytest.approx(pauses)
