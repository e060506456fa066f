"""Parts of something large, shared among processes."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from afinador.data.processes import _Family, in_order

HERE = "/proc/self"
"""A link that each process reads as its own number."""


@pytest.fixture
def start_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets the others be there after so many looks for them."""
    really = _Family.has_started

    def start(looks: int) -> None:
        left = iter(range(looks))
        monkeypatch.setattr(_Family, "has_started", lambda family: next(left, None) is None and waited(family))

    def waited(family: _Family[str, str]) -> bool:
        while not really(family):
            pass
        return True

    return start


@pytest.mark.parametrize("looks", [0, 3])
def test_who_asks_does_the_first_parts_until_the_others_are_there(
    looks: int, start_after: Callable[[int], None]
) -> None:
    start_after(looks)
    done_by = [int(process) for _, process in in_order(os.readlink, [HERE] * 40, 3)]
    assert done_by[:looks] == [os.getpid()] * looks and os.getpid() not in done_by[looks:]
    assert len(set(done_by[looks:])) == 3, "one that is started, and two that it has forked"


def test_few_parts_are_done_before_the_others_are_there(start_after: Callable[[int], None]) -> None:
    start_after(100)
    assert list(in_order(abs, range(-5, 0), 2)) == [(-5, 5), (-4, 4), (-3, 3), (-2, 2), (-1, 1)]


def test_parts_stay_in_order_also_where_processes_end_for_an_error(start_after: Callable[[int], None]) -> None:
    start_after(0)
    with pytest.raises(ValueError, match="invalid literal"):
        list(in_order(int, ["1", "2", "x", "4"], 2))
    assert [made for _, made in in_order(int, map(str, range(50)), 2)] == list(range(50))
