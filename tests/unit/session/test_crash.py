"""A crash at every instant, and every pair of older stores (protocol.md §8.2, §8.4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from p2pchat.session.messages import Text
from p2pchat.session.states import State
from tests.support.shells import Disk, Link, make_link, text

ENOUGH = 40
"""Steps in which any two of these stores must come to rest."""


def conversation(link: Link) -> Iterator[None]:
    """Two connections, messages both ways, some of them lost; yields wherever a crash may be.

    The shells write to disk in between; each of those moments counts too (see ``moments``).
    """
    link.left.write(text(0))
    link.connect()
    for _ in range(8):
        link.step(link.left, link.right)
        yield
        link.step(link.right, link.left)
        yield
    for number in range(1, 4):
        link.left.write(text(number))
        link.right.write(text(100 + number))
    link.left.fill_window()
    link.left.commit()
    lost = link.left.live.data_to_send()
    link.right.receive(lost[: len(lost) // 2])
    link.right.commit()
    yield
    link.connect(left_dials=False)
    for _ in range(8):
        link.step(link.right, link.left)
        yield
        link.step(link.left, link.right)
        yield


def moments() -> list[tuple[Disk, Disk]]:
    """Both disks after each single transaction of the conversation."""
    link = make_link()
    found = [(link.left.disk, link.right.disk)]

    def note() -> None:
        found.append((link.left.disk, link.right.disk))

    link.left.on_write = link.right.on_write = note
    for _ in conversation(link):
        pass
    return found


MOMENTS = moments()


def restarted(left: Disk, right: Disk, number: int) -> Link:
    """Two new processes on these disks, with other random numbers than before."""
    link = make_link()
    for shell, disk in ((link.left, left), (link.right, right)):
        shell.person.rng(1000 + number)
        shell.disk = disk
    link.connect(left_dials=number % 2 == 0)
    for _ in range(ENOUGH):
        if not (link.step(link.left, link.right) | link.step(link.right, link.left)):
            break
    else:
        raise AssertionError("they never come to rest")
    assert link.left.live.state is link.right.live.state is State.OPEN
    return link


def once(inbox: tuple[Text, ...]) -> bool:
    return max(Counter(message.message_id for message in inbox).values(), default=1) == 1


def test_the_conversation_is_worth_crashing() -> None:
    assert len(MOMENTS) > 25
    left, right = MOMENTS[-1]
    assert left.outbox == right.inbox
    assert right.outbox == left.inbox
    assert len(left.delivered) == 4


@pytest.mark.parametrize("number", range(len(MOMENTS)))
def test_a_crash_at_any_instant_loses_and_doubles_nothing(number: int) -> None:
    """R-8.2.1, R-8.2.2: both processes die; each message is there once, in order."""
    link = restarted(*MOMENTS[number], number)
    for receiver, sender in ((link.right, link.left), (link.left, link.right)):
        assert receiver.disk.inbox == sender.disk.outbox
        assert sender.disk.delivered == {message.message_id for message in sender.disk.outbox}


@pytest.mark.parametrize("behind", range(1, len(MOMENTS), 2))
@pytest.mark.parametrize("left_is_older", [True, False])
def test_any_older_store_still_comes_to_terms(behind: int, left_is_older: bool) -> None:
    """R-8.4.2 to R-8.4.4: a rollback may cost what only the lost time knew, never the future."""
    for number in range(behind, len(MOMENTS), 2):
        older, newer = MOMENTS[number - behind], MOMENTS[number]
        left, right = (older[0], newer[1]) if left_is_older else (newer[0], older[1])
        link = restarted(left, right, number)
        link.left.write(text(500))
        link.right.write(text(600))
        link.settle()
        for receiver, sender in ((link.right, link.left), (link.left, link.right)):
            assert once(receiver.disk.inbox)
            ids = {message.message_id for message in receiver.disk.inbox}
            at_rest = sender.disk.delivered
            assert at_rest == {message.message_id for message in sender.disk.outbox}
            believed = {message.message_id for message in sender.disk.outbox} - ids
            assert believed <= (left if sender is link.left else right).delivered
        assert link.right.disk.inbox[-1] == text(500)
        assert link.left.disk.inbox[-1] == text(600)
