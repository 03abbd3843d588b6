"""Photos damaged at random: `make fuzz` tries many more of them."""

import pytest

from .fuzz import mutated, outcome, seeds

pytestmark = pytest.mark.long

_SEED = 1


@pytest.mark.parametrize("part", range(20))
def test_photos_damaged_at_random_are_rejected_or_good(part: int) -> None:
    for number in range(part * 100, part * 100 + 100):
        try:
            outcome(mutated(number, _SEED))
        except Exception as error:
            error.add_note(f"python -m tests.photo.fuzz --seed {_SEED} --first {number} --files 1")
            raise


def test_the_seeds_of_the_fuzzing_are_good_photos() -> None:
    assert len(seeds()) == 20
    assert {outcome(data) for data in seeds()} == {"good"}


def test_the_nth_damaged_photo_of_a_seed_is_always_the_same() -> None:
    assert [mutated(n, 1) for n in range(20)] == [mutated(n, 1) for n in range(20)]
    assert mutated(1, 1) != mutated(1, 2)
