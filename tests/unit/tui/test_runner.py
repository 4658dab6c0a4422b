"""Calls run one after the other, repeated questions once, refusals become actions."""

from __future__ import annotations

import asyncio

from p2pchat.rpc.protocol import RpcCode, RpcError
from p2pchat.tui.actions import Action, answer, news
from p2pchat.tui.conversation import Delivery
from p2pchat.tui.effects import Call
from p2pchat.tui.runner import LOST, Runner
from tests.tui.dataset import DataSet, contact


async def drive(client: DataSet, *calls: Call) -> list[Action]:
    """Carry out calls; returns the actions."""
    actions: list[Action] = []
    runner = Runner(actions.append, lambda: 0)
    for call in calls:
        runner.order(call)
    running = asyncio.ensure_future(runner.run_calls(client))  # noqa: TID251 - the test owns it
    for _ in range(20):
        await asyncio.sleep(0)
    running.cancel()
    return actions


async def test_calls_keep_their_order_and_repeated_questions_are_asked_once() -> None:
    client = DataSet([contact("Bob")])
    send = [
        Call("message.send", (("contact", "Bob"), ("text", text)), "Bob", text)
        for text in ("one", "two", "one")
    ]
    listing = Call("contact.list")
    actions = await drive(client, listing, send[0], listing, send[1], listing, send[2])
    assert [method for method, _ in client.calls] == [
        "contact.list",
        "message.send",
        "message.send",
        "message.send",
    ]
    assert [each.local_key for each in actions if isinstance(each, answer.MessageStored)] == [
        "one",
        "two",
        "one",
    ]


async def test_a_question_may_be_asked_again_once_it_was_answered() -> None:
    client = DataSet()
    actions: list[Action] = []
    runner = Runner(actions.append, lambda: 0)
    running = asyncio.ensure_future(runner.run_calls(client))  # noqa: TID251 - the test owns it
    for _ in range(2):
        runner.order(Call("contact.list"))
        for _ in range(5):
            await asyncio.sleep(0)
    running.cancel()
    assert len(client.calls) == 2


async def test_refusals_say_whether_trust_was_the_reason() -> None:
    client = DataSet()
    client.refuse["contact.verify"] = RpcError(RpcCode.TRUST, "no")
    client.refuse["contact.add"] = RpcError(RpcCode.INVALID_PARAMS, "no link")
    verify, add = Call("contact.verify"), Call("contact.add")
    assert await drive(client, verify, add) == [
        answer.CallFailed(verify, "no", trust=True),
        answer.CallFailed(add, "no link", trust=False),
    ]


async def test_notifications_end_with_the_node() -> None:
    client = DataSet()
    client.stream.put("message.state", contact="Bob", message_id="1", state="sent")
    client.stream.put("unknown.news")
    client.stream.end()
    client.refuse["node.status"] = RpcError(RpcCode.FAILED, "the node ended")
    actions: list[Action] = []
    await Runner(actions.append, lambda: 0).follow(client, client.notifications())
    assert actions == [news.MessageMoved("Bob", "1", Delivery.SENT), news.ClientLost(LOST)]


async def test_a_listener_that_was_cut_off_listens_and_lists_anew() -> None:
    client = DataSet()
    client.stream.put("notifications.lost", count=3)
    client.stream.end()
    actions: list[Action] = []
    await Runner(actions.append, lambda: 0).follow(client, client.notifications())
    assert actions == [news.NewsLost(), news.NewsLost(), news.ClientLost(LOST)]
