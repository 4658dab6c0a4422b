"""A second implementation of protocol.md, in JavaScript, against real p2pchat nodes.

`tests/interop/js` was written from protocol.md alone, so each test here also tests the standard:
what the two disagree about, the text leaves open. Both are driven from outside, p2pchat by its
command line and JSON-RPC over stdio, the other by its own command line. Loopback only.

Skipped where Node.js or its packages are missing: `npm ci` in `tests/interop/js` installs them.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

JS = Path(__file__).parent / "js"
TEXTS_EACH_WAY = 20
BURST = 1100
"""More than the frames of one key, in each direction."""
PATIENCE_S = 15.0

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (JS / "node_modules").is_dir(),
    reason="needs node, and `npm ci` in tests/interop/js",
)

Event = dict[str, Any]


class Lines:
    """A process that speaks one JSON object a line on stdin and stdout."""

    def __init__(self, *command: str | Path) -> None:
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.seen: list[Event] = []
        self.news = threading.Condition()
        self.over = False
        self.stderr = ""
        self.readers = [
            threading.Thread(target=self._read_stdout),
            threading.Thread(target=self._read_stderr),
        ]
        for reader in self.readers:
            reader.start()

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self.news:
                self.seen.append(json.loads(line))
                self.news.notify_all()
        with self.news:
            self.over = True
            self.news.notify_all()

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self.stderr = self.process.stderr.read()

    def write(self, **line: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(line) + "\n")
        self.process.stdin.flush()

    def wait(self, condition: Callable[[Event], bool], count: int = 1) -> list[Event]:
        """The first `count` lines that meet the condition, once they are there."""

        def found() -> list[Event]:
            return [line for line in self.seen if condition(line)]

        with self.news:
            self.news.wait_for(lambda: len(found()) >= count or self.over, PATIENCE_S)
            lines = found()
        assert len(lines) >= count, f"{len(lines)} of {count}; saw {self.seen}; {self.stderr}"
        return lines

    def stop(self) -> None:
        """Ends the process and checks that it ended of its own accord."""
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(PATIENCE_S)
        for reader in self.readers:
            reader.join(PATIENCE_S)
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


class Node(Lines):
    """A running p2pchat node."""

    def __init__(self, profile: Path, passphrase: Path) -> None:
        super().__init__(
            *p2pchat(profile, passphrase), "node", "--listen", "127.0.0.1:0", "--rpc", "stdio"
        )
        self.calls = 0

    def call(self, method: str, **params: object) -> Any:
        self.calls += 1
        number = self.calls
        self.write(jsonrpc="2.0", id=number, method=method, params=params)
        answer = self.wait(lambda line: line.get("id") == number)[0]
        assert "error" not in answer, answer
        return answer["result"]

    def notified(self, method: str, count: int = 1, **params: object) -> list[Event]:
        """The parameters of notifications that say all of `params`."""
        lines = self.wait(
            lambda line: line.get("method") == method and params.items() <= line["params"].items(),
            count,
        )
        return [line["params"] for line in lines]


class Js(Lines):
    """The second implementation."""

    def __init__(self, *arguments: str | Path) -> None:
        super().__init__("node", JS / "peer.mjs", *arguments, "--stdin", "--timeout", "60")

    def event(self, name: str, count: int = 1, **details: object) -> list[Event]:
        details["event"] = name
        return self.wait(lambda line: details.items() <= line.items(), count)

    def opened(self, suite: str, *, resumed: bool, count: int = 1) -> None:
        """Checks the newest of `count` connections."""
        session = self.event("session", count)[-1]
        assert session["resumed"] is resumed
        assert self.event("authenticated", count)[-1]["suite"] == suite

    def say(self, **message: object) -> str:
        """Send a message of any kind; returns its id."""
        before = sum(line["event"] == "said" for line in self.seen)
        self.write(op="say", message=message)
        return str(self.event("said", before + 1)[-1]["id"])

    def status(self) -> Event:
        before = sum(line["event"] == "status" for line in self.seen)
        self.write(op="status")
        return self.event("status", before + 1)[-1]


def p2pchat(profile: Path, passphrase: Path) -> list[str | Path]:
    return [
        *(sys.executable, "-m", "p2pchat"),
        *("--profile", profile, "--passphrase-file", passphrase),
    ]


class Bench:
    """Makes the parties of one test and ends them all afterwards."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.passphrase = folder / "passphrase"
        self.passphrase.write_text("correct horse battery staple\n")
        self.running: list[Lines] = []

    def node(self, name: str) -> Node:
        profile = self.folder / name
        if not profile.exists():
            subprocess.run(
                [
                    str(part)
                    for part in (*p2pchat(profile, self.passphrase), "init", "--name", name)
                ],
                check=True,
                capture_output=True,
            )
            (profile / "config.toml").write_text("typing = true\nread_receipts = true\n")
        node = Node(profile, self.passphrase)
        self.running.append(node)
        return node

    def js(self, *arguments: str | Path) -> Js:
        js = Js(*arguments)
        self.running.append(js)
        return js

    def state(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def js_link(self, name: str) -> str:
        """The link of the peer with this state file."""
        return subprocess.run(
            ["node", str(JS / "peer.mjs"), "link", "--state", str(self.state(name))],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("interop"))
    yield bench
    for process in bench.running:
        process.stop()


@pytest.fixture(scope="module")
def bob(bench: Bench) -> Node:
    return bench.node("bob")


def address(node: Node) -> str:
    listen = node.call("node.status")["listen"]
    return str(listen[0])


def peer_id(node: Node) -> str:
    return str(node.call("identity.show")["peer_id"])


def dial(bench: Bench, node: Node, name: str, *options: str | Path) -> Js:
    """The second implementation dials a contact."""
    where = (address(node), "--state", bench.state(name), "--expect", peer_id(node))
    return bench.js("dial", *where, *options)


def chat(node: Node, contact: str, js: Js, tag: str, count: int) -> None:
    """Texts in turn, and everything acknowledged on both sides."""
    theirs = [f"{tag} of js {number} 🐚" for number in range(count)]
    ours = [f"{tag} of p2pchat {number} é" for number in range(count)]
    for one, other in zip(theirs, ours, strict=True):
        js.write(op="send", text=one)
        received = node.notified("message.received", contact=contact, text=one)[0]
        js.event("delivered", id=received["message_id"])
        sent = node.call("message.send", contact=contact, text=other)["message_id"]
        js.event("received", text=other, id=sent)
        node.notified("message.state", contact=contact, message_id=sent, state="delivered")
    history = node.call("message.list", contact=contact, limit=4 * count)
    recent = [line for line in history if line["text"].startswith(f"{tag} of ")]
    assert [line["text"] for line in recent if line["direction"] == "in"] == theirs
    assert [line["text"] for line in recent if line["direction"] == "out"] == ours
    assert {line["state"] for line in recent if line["direction"] == "out"} == {"delivered"}


def test_javascript_dials_p2pchat(bench: Bench, bob: Node) -> None:
    """Handshake, chat, resumed session, restart of the dialling side; two hybrid ratchet steps."""
    bob.call("contact.add", link=bench.js_link("dialler"), name="dialler")
    js = dial(bench, bob, "dialler", "--reconnect")
    js.opened("XXhfs", resumed=False)
    chat(bob, "dialler", js, "first", TEXTS_EACH_WAY)
    assert (
        js.status()["safety_number"]
        == bob.call("contact.safety_number", contact="dialler")["number"]
    )

    js.write(op="drop")
    js.opened("IKhfs", resumed=True, count=2)
    chat(bob, "dialler", js, "second", TEXTS_EACH_WAY)
    js.write(op="quit")
    js.event("closed", code=0)

    js = dial(bench, bob, "dialler")
    js.opened("IKhfs", resumed=True)
    chat(bob, "dialler", js, "third", TEXTS_EACH_WAY)
    assert js.status()["kem_steps"] >= 1
    assert [c["pq"] for c in bob.call("contact.list") if c["contact"] == "dialler"] == [True]


@pytest.mark.slow
def test_p2pchat_dials_javascript(bench: Bench) -> None:
    """The same the other way round; first p2pchat restarts, then the listening side does."""
    arguments = ("--state", bench.state("listener"))
    js = bench.js("listen", "0", *arguments)
    listening = js.event("listening")[0]
    carol = bench.node("carol")
    carol.call("contact.add", link=listening["link"], name="listener")
    js.opened("XXhfs", resumed=False)
    chat(carol, "listener", js, "first", TEXTS_EACH_WAY)
    carol.stop()
    js.event("closed")

    carol = bench.node("carol")
    js.opened("IKhfs", resumed=True, count=2)
    chat(carol, "listener", js, "second", TEXTS_EACH_WAY)
    js.write(op="quit")
    js.process.wait(PATIENCE_S)

    js = bench.js("listen", str(listening["port"]), *arguments)
    js.opened("IKhfs", resumed=True)
    chat(carol, "listener", js, "third", TEXTS_EACH_WAY)
    assert js.status()["kem_steps"] >= 1


@pytest.mark.slow
def test_retry_from_p2pchat(bench: Bench, bob: Node) -> None:
    """RETRY for a weaker first message and for a static key that p2pchat does not have (§5.6)."""
    bob.call("contact.add", link=bench.js_link("retried"), name="retried")
    for number, options in enumerate(
        [("--suite", "XX", "--offer", "all"), ("--suite", "IKhfs", "--stale-static")]
    ):
        js = dial(bench, bob, "retried", *options)
        assert js.event("retried")[0]["suite"] == "XXhfs"
        js.opened("XXhfs", resumed=number > 0)
        chat(bob, "retried", js, f"retry {number}", 2)
        js.write(op="quit")
        js.process.wait(PATIENCE_S)


@pytest.mark.slow
def test_retry_from_javascript_and_classical_suites(bench: Bench, bob: Node) -> None:
    """A peer without hybrid suites: RETRY to XX, XX and IK; p2pchat shows that it is not hybrid."""
    bob.call("contact.add", link=bench.js_link("classical"), name="classical")
    for suite, resumed in [("XX", False), ("IK", True)]:
        js = dial(bench, bob, "classical", "--suite", suite)
        js.opened(suite, resumed=resumed)
        chat(bob, "classical", js, f"by {suite}", 2)
        js.write(op="quit")
        js.process.wait(PATIENCE_S)
    where = ("--state", bench.state("classical"), "--offer", "classical")
    js = bench.js("listen", "0", *where)
    port = js.event("listening")[0]["port"]
    bob.call("contact.address", contact="classical", addresses=[f"127.0.0.1:{port}"])
    assert js.event("retry_sent")[0]["suite"] == "XX"
    js.opened("XX", resumed=True)
    chat(bob, "classical", js, "by RETRY", 2)
    assert [c["pq"] for c in bob.call("contact.list") if c["contact"] == "classical"] == [False]


@pytest.mark.slow
def test_less_than_hybrid_is_refused_by_both(bench: Bench, bob: Node) -> None:
    """R-4.3.6: once a contact has spoken a hybrid suite, p2pchat closes a classical connection."""
    bob.call("contact.add", link=bench.js_link("downgraded"), name="downgraded")
    js = dial(bench, bob, "downgraded")
    js.opened("XXhfs", resumed=False)
    js.write(op="quit")
    js.process.wait(PATIENCE_S)
    forgetful = bench.state("downgraded")
    state = json.loads(forgetful.read_text())
    for contact in state["contacts"].values():
        contact["hybrid"] = False
    forgetful.write_text(json.dumps(state))
    js = dial(bench, bob, "downgraded", "--suite", "XX")
    assert js.event("closed")[0]["name"] == "DOWNGRADE_DETECTED"


def test_a_stranger_asks_and_is_accepted(bench: Bench, bob: Node) -> None:
    """A pending greeting, and the second HELLO that ends it (R-8.3.1, R-8.3.4)."""
    js = bench.js("dial", address(bob), "--state", bench.state("stranger"), "--name", "Stranger")
    assert js.event("greeted")[0] == {
        "event": "greeted", "accepted": False, "name": None, "note": None,
    }  # fmt: skip
    request = bob.notified("contact.request", name="Stranger")[0]
    js.write(op="send", text="waits for the acceptance")
    bob.call("contact.accept", contact=request["contact"])
    js.opened("XXhfs", resumed=False)
    bob.notified("message.received", text="waits for the acceptance")
    chat(bob, request["contact"], js, "accepted", 2)


def test_a_request_to_javascript_waits(bench: Bench, bob: Node) -> None:
    """The same with the roles exchanged: p2pchat waits until the other side accepts."""
    js = bench.js("listen", "0", "--ask")
    bob.call("contact.add", link=js.event("listening")[0]["link"], name="hesitant")
    sent = bob.call("message.send", contact="hesitant", text="hello?")["message_id"]
    js.event("greeted", accepted=True)
    js.write(op="accept")
    js.opened("XXhfs", resumed=False)
    js.event("received", text="hello?", id=sent)
    bob.notified("message.state", message_id=sent, state="delivered")


@pytest.mark.slow
def test_what_is_said_about_messages(bench: Bench, bob: Node) -> None:
    """Replies, edits, deletions, reactions, receipts, timers (§9.5, §9.6), typing (§7.8)."""
    who: dict[str, Any] = {"contact": "changer"}
    bob.call("contact.add", link=bench.js_link("changer"), name="changer")
    js = dial(bench, bob, "changer")
    js.opened("XXhfs", resumed=False)

    theirs = js.say(t="text", body="teh boat")
    bob.notified("message.received", message_id=theirs)
    ours = bob.call("message.reply", message_id=theirs, text="wich boat?", **who)["message_id"]
    assert js.event("received", id=ours)[0]["re"] == theirs
    js.say(t="edit", of=theirs, body="the boat")
    bob.notified("message.changed", message_id=theirs, text="the boat", deleted=False)
    bob.notified("message.state", message_id=ours, state="delivered")
    bob.call("message.edit", message_id=ours, text="which boat?", **who)
    bob.call("message.react", message_id=theirs, emoji="🚤", **who)
    assert js.event("received", kind="edit")[0]["of"] == ours
    js.say(t="reaction", of=ours, emoji="⛵")
    reaction = [{"direction": "in", "emoji": "⛵"}]
    bob.notified("message.changed", message_id=ours, reactions=reaction)
    bob.call("message.mark_read", **who)
    assert js.event("received", kind="read")[0]["of"] == theirs
    js.say(t="read", of=ours)
    bob.notified("message.state", message_id=ours, state="read")
    one, other = js.status()["lines"]
    assert (one["body"], one["edited"], one["reactions"]) == ("the boat", True, {"peer": "🚤"})
    assert (other["body"], other["edited"], other["re"]) == ("which boat?", True, theirs)

    js.say(t="delete", of=theirs)
    bob.notified("message.changed", message_id=theirs, deleted=True, text="")
    bob.call("message.delete", message_id=ours, **who)
    js.event("received", kind="delete", of=ours, applied=True)

    bob.call("message.timer", step="propose", seconds=60, **who)
    proposal = js.event("received", kind="timer")[0]
    js.say(t="timer", state="accept", of=proposal["id"])
    bob.notified("message.received", kind="timer.accept")
    soon_gone = bob.call("message.send", text="soon gone", **who)["message_id"]
    assert js.event("received", id=soon_gone)[0]["ttl"] == js.status()["timer"]["inForce"] == 60
    gone_too = js.say(t="text", body="gone too")
    assert bob.notified("message.received", message_id=gone_too)[0]["lifetime_s"] == 60
    js.say(t="timer", state="end")
    bob.notified("message.received", kind="timer.end")
    js.say(t="timer", state="propose", s=300)
    bob.notified("message.received", kind="timer.propose")
    bob.call("message.timer", step="decline", **who)
    js.event("received", kind="timer", state="decline", applied=True)
    bob.call("message.send", text="stays", **who)
    assert "ttl" not in js.event("received", text="stays")[0]

    bob.call("message.typing", writing=True, **who)
    js.event("typing", on=True)
    js.write(op="typing", on=True)
    bob.notified("contact.typing", writing=True, **who)
    js.write(op="typing", on=False)
    bob.notified("contact.typing", writing=False, **who)


def test_a_phrase_is_compared(bench: Bench, bob: Node) -> None:
    """The same phrase and another, whoever asks (§3.8)."""
    who: dict[str, Any] = {"contact": "comparer"}
    bob.call("contact.add", link=bench.js_link("comparer"), name="comparer")
    js = dial(bench, bob, "comparer")
    js.opened("XXhfs", resumed=False)
    js.write(op="compare", text="the red boat")
    bob.notified("contact.compare_asked", **who)
    bob.call("contact.compare", secret="the green boat", **who)
    bob.notified("contact.compared", outcome="differed", tries_left=2, **who)
    js.event("compare", outcome="different")
    assert js.status()["verified"] is False

    bob.call("contact.compare", secret="The  GREEN Straße", **who)
    js.event("compare", outcome="invited")
    js.write(op="compare", text="the green strasse")
    js.event("compare", outcome="same")
    bob.notified("contact.compared", outcome="verified", tries_left=3, **who)
    assert js.status()["verified"] is True
    (contact,) = (each for each in bob.call("contact.list") if each["contact"] == "comparer")
    assert (contact["trust"], contact["verified_by"]) == ("verified", "secret")


@pytest.mark.slow
def test_static_keys_rotate(bench: Bench) -> None:
    """Told on the open connection, and the next IK is for the new key (§3.3, §7.8)."""
    dave = bench.node("dave")
    js = bench.js("listen", "0", "--state", bench.state("rotator"))
    dave.call("contact.add", link=js.event("listening")[0]["link"], name="rotator")
    js.opened("XXhfs", resumed=False)
    dave.call("key.rotate")
    told = js.event("rotated")[0]["generation"]
    js.write(op="rotate")
    chat(dave, "rotator", js, "before", 2)
    js.write(op="drop")
    js.opened("IKhfs", resumed=True, count=2)  # with the new keys of both
    assert js.status()["generation"] == told
    js.write(op="rotate")
    js.write(op="drop")  # before or after the notice has arrived: the old key answers as well
    js.opened("IKhfs", resumed=True, count=3)
    chat(dave, "rotator", js, "after", 2)
    assert all(line["event"] != "retry_sent" for line in js.seen)


@pytest.mark.slow
def test_a_message_that_was_lost_is_missed_on_both_sides(bench: Bench, bob: Node) -> None:
    """The JavaScript peer goes back to before the last message that it received (§8.6)."""
    bob.call("contact.add", link=bench.js_link("loser"), name="loser")
    js = dial(bench, bob, "loser")
    js.opened("XXhfs", resumed=False)
    chat(bob, "loser", js, "kept", 3)
    lost = bob.call("message.send", contact="loser", text="lost")["message_id"]
    bob.notified("message.state", message_id=lost, state="delivered")
    js.write(op="close")
    js.process.wait(PATIENCE_S)
    js = bench.js("listen", "0", "--state", bench.state("loser"))
    port = js.event("listening")[0]["port"]
    js.write(op="forget")
    bob.call("contact.address", contact="loser", addresses=[f"127.0.0.1:{port}"])
    js.opened("IKhfs", resumed=False)
    difference = bob.notified("ledger.differed", contact="loser")[0]
    assert (difference["lost_there"], difference["lost_there_ids"]) == (1, [lost])
    assert difference["forked"] is False
    assert js.event("ledger")[0]["what"] == "lost by us"
    js.write(op="tell-ledger")
    chat(bob, "loser", js, "again", 2)
    assert len(bob.call("message.ledger", contact="loser")) == 1


@pytest.mark.slow
def test_revocations_are_final(bench: Bench, bob: Node) -> None:
    """Of either side, told on the open connection; no later one is taken (§3.7)."""
    bob.call("contact.add", link=bench.js_link("revoked"), name="revoked")
    js = dial(bench, bob, "revoked")
    js.opened("XXhfs", resumed=False)
    js.write(op="revoke")
    assert js.event("closed")[0] | {"reason": ""} == {
        "event": "closed", "code": 0x0E, "name": "KEY_REVOKED", "by": "peer", "reason": "",
    }  # fmt: skip
    bob.notified("contact.key", contact="revoked", news="revoked")
    js = dial(bench, bob, "revoked")
    assert js.event("closed")[0]["name"] == "KEY_REVOKED"

    erin = bench.node("erin")
    erin.call("contact.add", link=bench.js_link("witness"), name="witness")
    js = dial(bench, erin, "witness", "--reconnect")
    js.opened("XXhfs", resumed=False)
    erin.call("key.revoke")
    assert js.event("revoked")[0]["own"] is False
    closed = js.event("closed")[0]
    assert (closed["name"], closed["by"]) == ("KEY_REVOKED", "self")


@pytest.mark.slow
def test_long_texts_and_a_burst(bench: Bench, bob: Node) -> None:
    """The longest text in parts, a window's worth at once, and a rekeyed transport (§7.6, §8.5)."""
    bob.call("contact.add", link=bench.js_link("talkative"), name="talkative")
    js = dial(bench, bob, "talkative", "--echo")
    js.opened("XXhfs", resumed=False)
    for longest in ("ß" * 32768, "x" * 65530):
        sent = bob.call("message.send", contact="talkative", text=longest)["message_id"]
        assert js.event("received", id=sent)[0]["text"] == longest
    bob.notified("message.received", contact="talkative", text="echo: " + longest)
    for number in range(BURST):
        bob.call("message.send", contact="talkative", text=f"burst {number}")
    echoes = bob.wait(
        lambda line: (
            line.get("method") == "message.received"
            and line["params"]["text"].startswith("echo: burst")
        ),
        BURST,
    )
    assert [line["params"]["text"] for line in echoes] == [
        f"echo: burst {number}" for number in range(BURST)
    ]
    assert min(js.status()["rekeys"]) >= 1  # sent and received


@pytest.mark.slow
def test_the_conformance_kit_finds_nothing(bench: Bench) -> None:
    """`interop check` as the initiator, but for what takes longer than 5 s."""
    arguments = ("--echo", "--state", bench.state("examined"))
    js = bench.js("listen", "0", *arguments)
    port = js.event("listening")[0]["port"]
    result = subprocess.run(
        [
            *(sys.executable, "-m", "p2pchat", "interop", "check"),
            *(f"127.0.0.1:{port}", "--patience", "5"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.slow
def test_its_own_tests() -> None:
    """Published vectors, ratchet.json, and the second implementation against itself."""
    tests = sorted((JS / "test").glob("*.test.mjs"))
    assert tests
    result = subprocess.run(
        ["node", "--test", *map(str, tests)], cwd=JS, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout
