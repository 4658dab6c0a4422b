"""The scripted peer: accepts whoever comes, echoes every text, resumes (protocol.md §8).

Another implementation talks to it, and the checker checks it. It is a ``Connection`` with a store
in memory in which every commit is instant; keys and randomness follow from a seed, but for the
randomness of ML-KEM encapsulation, which the library draws itself (``crypto.kem``).

It keeps what the protocol asks a contact's record to keep: the latest static key and generation,
the latest time of an IK message, whether hybrid was spoken, and the session. It is no node: it
has no contacts to refuse, no limits on strangers, and everybody can compute its keys.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from p2pchat.crypto.secret import Rng
from p2pchat.errors import ErrorCode, ProtocolError, UnreachableError
from p2pchat.identity.keys import peer_id
from p2pchat.interop.peer_notices import learned
from p2pchat.interop.personas import Persona
from p2pchat.node.clock import Clock
from p2pchat.session.connection import Connection
from p2pchat.session.credentials import ConnectionConfig
from p2pchat.session.delivery import SessionState
from p2pchat.session.events import (
    Answer,
    AskAgain,
    Attach,
    Close,
    ConnectionClosed,
    Event,
    FirstMessageRead,
    MessageReceived,
    MessagesDelivered,
    NoticeReceived,
    PeerAuthenticated,
    PeerGreeted,
    SendMessage,
    SessionBroke,
    SessionChanged,
    SessionResumed,
    SessionStarted,
)
from p2pchat.session.messages import Text
from p2pchat.session.negotiation import HYBRID_OFFER, OUR_OFFER
from p2pchat.session.notices import Notice
from p2pchat.transport.base import Stream, Transport

CONTACTS_MAX: Final = 4096
"""Remembered at once; the first to come is forgotten first."""
LINGER_S: Final = 2.0
"""After our goodbye we wait this long for the other end's."""
REDIAL_S: Final = 0.15
"""After a connection ended; short, since a checker has many checks."""

Say = Callable[[str], None]
"""Takes a line of output."""


@dataclass(slots=True)
class Contact:
    """What is remembered of a peer.

    Attributes:
        static: Its latest static key.
        generation: Of its latest certificate.
        time_ms: Of its latest IK message.
        post_quantum: It has spoken a hybrid suite.
        revoked: It is not to be talked to any more.
        session: As last committed.
        seen: Message ids that were taken.
        outbox: Echoes that were not acknowledged, in order.
        sealed: Those of them that the session has envelopes of.
    """

    static: bytes | None = None
    generation: int = 0
    time_ms: int = -1
    post_quantum: bool = False
    revoked: bool = False
    session: SessionState | None = None
    seen: set[bytes] = field(default_factory=set)
    outbox: list[Text] = field(default_factory=list)
    sealed: set[bytes] = field(default_factory=set)


@dataclass(slots=True)
class _Link:
    stream: Stream
    connection: Connection
    identity: bytes | None = None


class ScriptedPeer:
    """One identity and everybody that it has met."""

    connection_type: type[Connection] = Connection
    """Tests put a misbehaving one in its place."""
    redial_s = REDIAL_S

    def __init__(self, who: Persona, *, clock: Clock, rng: Rng, say: Say) -> None:
        self.who = who
        self._clock = clock
        self._rng = rng
        self._say = say
        self._contacts: dict[bytes, Contact] = {}
        self._links: dict[bytes, _Link] = {}
        self._answered_by: bytes | None = None

    def tell(self, event: str, **details: Any) -> None:
        """Print an event as one line of JSON."""
        # Escaped: what a peer says must not run in the terminal that shows this.
        self._say(json.dumps({"event": event, **details}))

    def announce(self, address: str, role: str) -> None:
        """Print who and where we are."""
        link = self.who.link(address) if role == "listen" else self.who.link()
        self.tell("ready", role=role, address=address, peer_id=self.who.peer_id, link=link)

    async def dial(self, transport: Transport, address: str, expected: bytes | None) -> None:
        """Connect, again and again, until cancelled."""
        while True:
            try:
                stream = await transport.dial(address)
            except UnreachableError as error:
                self.tell("unreachable", reason=str(error))
            else:
                await self.serve(stream, initiator=True, expected=expected)
            await asyncio.sleep(self.redial_s)

    async def serve(
        self, stream: Stream, *, initiator: bool, expected: bytes | None = None
    ) -> None:
        """Serve one connection until it is over."""
        connection = self.connection_type(
            self._config(expected, initiator=initiator),
            initiator=initiator,
            now=self._clock.monotonic(),
            now_ms=self._clock.wall_ms(),
            rng=self._rng,
        )
        link = _Link(stream, connection)
        self.tell("connected", address=stream.peer_address)
        try:
            await self._exchange(link)
        finally:
            if link.identity is not None and self._links.get(link.identity) is link:
                del self._links[link.identity]
            await _hang_up(stream)

    def _config(self, expected: bytes | None, *, initiator: bool) -> ConnectionConfig:
        certificate = self.who.certificate(self._clock.wall_ms())
        if not initiator:
            return ConnectionConfig(certificate, self.who.static)
        known = self._contacts.get(expected or self._answered_by or b"", Contact())
        return ConnectionConfig(
            certificate,
            self.who.static,
            expected,
            HYBRID_OFFER if known.post_quantum else OUR_OFFER,
            known.static,
        )

    async def _exchange(self, link: _Link) -> None:
        connection, clock = link.connection, self._clock
        while True:
            while (event := connection.next_event()) is not None:
                self._on_event(link, event)
            self._echo(link)
            data = connection.data_to_send()
            if data:
                link.stream.write(data)
            if connection.is_closed:
                return
            due = connection.next_deadline()
            wait = None if due is None else max(0.0, due - clock.monotonic())
            try:
                async with asyncio.timeout(wait):
                    received = await link.stream.read()
            except TimeoutError:
                connection.handle_timeout(clock.monotonic())
            else:
                connection.receive_data(received, now=clock.monotonic())

    # --- events -----------------------------------------------------------------------------------

    def _on_event(self, link: _Link, event: Event) -> None:
        if isinstance(event, SessionChanged) and link.identity is not None:
            self._contact(link.identity).session = event.state
            link.connection.committed(event.revision)
        match event:
            case FirstMessageRead():
                self._send(link, self._judge(event))
            case PeerAuthenticated():
                self._send(link, self._admit(link, event))
            case PeerGreeted(accepted, name, note):
                self.tell("greeted", accepted=accepted, name=name, note=note)
            case SessionStarted() | SessionResumed():
                self._on_session(link, event)
            case MessageReceived(message=Text() as text):
                self._on_text(link, text)
            case MessagesDelivered(delivered=ids):
                self._delivered(link, ids)
            case NoticeReceived(notice):
                self._noticed(link, notice)
            case SessionBroke():
                contact = self._contact_of(link)
                contact.session = None
                contact.sealed.clear()
                self.tell("session-broken")
            case ConnectionClosed(code, by_peer, clean, reason):
                told = {"by_peer": by_peer, "clean": clean, "reason": reason}
                self.tell("closed", code=code.name, **told)
            case _:
                pass  # an empty or unsupported message; what we sealed ourselves

    def _judge(self, event: FirstMessageRead) -> Answer | AskAgain:
        contact = self._contact(event.certificate.identity)
        if event.time_ms <= contact.time_ms:
            return AskAgain()
        contact.time_ms = event.time_ms
        return Answer()

    def _admit(self, link: _Link, event: PeerAuthenticated) -> Attach | Close:
        contact = self._contact(event.identity)
        if contact.revoked:
            return Close(ErrorCode.KEY_REVOKED, "the key is revoked")
        if event.certificate.generation < contact.generation:
            return Close(ErrorCode.CERTIFICATE_INVALID, "an outdated certificate")
        if contact.post_quantum and not event.post_quantum:
            return Close(ErrorCode.DOWNGRADE_DETECTED, "less than hybrid")
        contact.static = event.certificate.static
        contact.generation = event.certificate.generation
        contact.post_quantum = event.post_quantum
        link.identity = self._answered_by = event.identity
        older = self._links.get(event.identity)
        if older is not None:
            older.connection.send(
                Close(ErrorCode.SUPERSEDED, "a newer connection"), now=self._clock.monotonic()
            )
            older.stream.write(older.connection.data_to_send())
            older.stream.close()
        self._links[event.identity] = link
        self.tell(
            "authenticated",
            peer_id=peer_id(event.identity),
            suite=event.suite.noise_name,
            version="{}.{}".format(*event.version),
        )
        return Attach(accepted=True, name=self.who.name, session=contact.session)

    def _noticed(self, link: _Link, notice: Notice) -> None:
        contact = self._contact_of(link)
        try:
            certificate = learned(
                notice,
                link.identity or b"",
                generation=contact.generation,
                own_static=self.who.static.public,
                is_open=link.connection.is_open,
                now_ms=self._clock.wall_ms(),
            )
        except ProtocolError as error:
            contact.revoked = contact.revoked or error.code is ErrorCode.KEY_REVOKED
            self._send(link, Close(error.code, str(error)))
            return
        if certificate is not None:
            contact.static, contact.generation = certificate.static, certificate.generation

    def _on_session(self, link: _Link, event: SessionStarted | SessionResumed) -> None:
        if isinstance(event, SessionStarted):
            self._contact_of(link).sealed.clear()
            self.tell("session-started", replaced=event.replaced)
        else:
            self.tell("session-resumed")
            self._delivered(link, event.delivered)

    def _on_text(self, link: _Link, text: Text) -> None:
        contact = self._contact_of(link)
        if text.message_id in contact.seen:
            return
        contact.seen.add(text.message_id)
        self.tell("text", id=text.message_id.hex(), at=text.sent_at_ms, body=text.body)
        contact.outbox.append(Text(self._rng(16), self._clock.wall_ms(), text.body))

    def _delivered(self, link: _Link, ids: tuple[bytes, ...]) -> None:
        contact = self._contact_of(link)
        contact.outbox = [text for text in contact.outbox if text.message_id not in ids]
        contact.sealed.difference_update(ids)
        if ids:
            self.tell("delivered", ids=[one.hex() for one in ids])

    def _echo(self, link: _Link) -> None:
        """Seal what waits, as far as the window allows."""
        connection = link.connection
        if not connection.is_open or link.identity is None:
            return
        contact = self._contact(link.identity)
        for text in contact.outbox:
            if connection.send_window <= 0:
                break
            if text.message_id not in contact.sealed:
                contact.sealed.add(text.message_id)
                self._send(link, SendMessage(text))
        while (event := connection.next_event()) is not None:
            self._on_event(link, event)

    def _send(self, link: _Link, command: Answer | AskAgain | Attach | Close | SendMessage) -> None:
        link.connection.send(command, now=self._clock.monotonic())

    def _contact_of(self, link: _Link) -> Contact:
        return self._contact(link.identity or b"")

    def _contact(self, identity: bytes) -> Contact:
        contact = self._contacts.get(identity)
        if contact is None:
            if len(self._contacts) >= CONTACTS_MAX:
                del self._contacts[next(iter(self._contacts))]
            contact = self._contacts[identity] = Contact()
        return contact


async def _hang_up(stream: Stream) -> None:
    """Let our last words arrive: wait for the other end before the socket is closed."""
    try:
        if not stream.is_closed:
            stream.write_eof()
            async with asyncio.timeout(LINGER_S):
                while await stream.read():
                    pass
        stream.close()
    except TimeoutError:
        pass
    finally:
        stream.abort()
