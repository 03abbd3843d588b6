"""How late a finished clip is seen, and how many queries that takes: `python -m tests.bench.polling`.

Simulated: renders are log-normal, and answers take no time. What is learned is learned from the clips before.
"""

import argparse
import math
from collections import deque
from collections.abc import Callable
from random import Random
from statistics import NormalDist, fmean, quantiles

from s2v_core import Timing

MEDIAN, LONG, LONGER = 142.0, 600.0, 0.03


def renders(count: int, random: Random) -> list[float]:
    """Seconds; half are under the median, and so many are `LONGER` than `LONG`."""
    sigma = math.log(LONG / MEDIAN) / NormalDist().inv_cdf(1 - LONGER)
    return [random.lognormvariate(math.log(MEDIAN), sigma) for _ in range(count)]


def measure(took: list[float], usual: Timing, random: Callable[[], float]) -> tuple[float, float, float]:
    """Mean and 95th percentile of the lateness, and queries per clip."""
    seen, late, queries = deque[float](maxlen=50), list[float](), 0
    for render in took:
        timing = usual.learned(list(seen)) if usual.ready is None else usual
        at = timing.first
        queries += 1
        while at < render:
            at += timing.pause(at, random=random)
            queries += 1
        late.append(at - render)
        seen.appendleft(at)
    return fmean(late), quantiles(late, n=20)[-1], queries / len(took)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.polling", description=__doc__)
    parser.add_argument("--clips", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random = Random(arguments.seed)
    took = renders(arguments.clips, random)
    schedules = {
        "this one": (Timing(), random.random),
        "every 5 s from the start": (Timing(poll=5.0, ready=0.0), lambda: 0.5),
    }
    print(f"{'schedule':26}{'mean late':>12}{'p95 late':>12}{'queries':>12}")
    for name, (timing, chance) in schedules.items():
        mean, p95, queries = measure(took, timing, chance)
        print(f"{name:26}{mean:>10.2f} s{p95:>10.2f} s{queries:>12.1f}")


if __name__ == "__main__":
    main()
