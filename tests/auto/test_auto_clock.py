"""The clock, with a made-up time."""

import pytest
import torch

from nrsfm_learn.auto._clock import Clock
from nrsfm_learn.auto._threads import suitable_threads


class FakeTime:
    def __init__(self):
        self.seconds = 100.0

    def __call__(self):
        return self.seconds


def test_counts_down_and_not_below_nothing():
    now = FakeTime()
    clock = Clock(50.0, now)
    assert clock.elapsed == 0
    assert 45 < clock.left < 50
    whole = clock.left
    now.seconds += 20
    assert clock.elapsed == 20
    assert clock.left == pytest.approx(whole - 20)
    now.seconds += 1000
    assert clock.left == 0


def test_a_part_of_the_time_left():
    now = FakeTime()
    clock = Clock(50.0, now)
    now.seconds += 10
    with clock.within(0.25) as short:
        assert short.left == pytest.approx(0.25 * clock.left)
        with short.part("fit"):
            now.seconds += 4
    assert clock.parts == {"fit": 4}


def test_parts_add_up_even_if_they_fail():
    now = FakeTime()
    clock = Clock(50.0, now)
    for _ in range(2):
        with clock.part("fit"):
            now.seconds += 3

    def fail():
        with clock.part("score"):
            now.seconds += 1
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert clock.parts == {"fit": 6.0, "score": 1.0}


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("several", "one", "n_threads"), [(1.0, 2.0, 2), (1.9, 2.0, 1), (9, 2, 1)])
@pytest.mark.usefixtures("two_threads")
def test_several_threads_only_where_they_gain(several, one, n_threads):
    seconds = iter([several, one])
    with suitable_threads(lambda: next(seconds)) as found:
        assert found == torch.get_num_threads() == n_threads
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_are_put_back_after_an_error():
    with pytest.raises(KeyError), suitable_threads(lambda: 1.0):
        raise KeyError
    assert torch.get_num_threads() == 2
