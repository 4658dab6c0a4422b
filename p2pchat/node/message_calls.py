"""What a node can be asked about messages (protocol.md §9).

A message is named by the hexadecimal digits of its id, a contact as in ``contact_calls``; the
desks are handed what is meant. What comes back are the plain values of ``node.views``.
"""

from __future__ import annotations

from p2pchat.identity.on_record import OnRecord, RecordStep
from p2pchat.node.desks import Desks
from p2pchat.node.messages import message_view, parse_message_id
from p2pchat.node.views import LedgerView, MessageView
from p2pchat.session.vanishing import TimerStep, Vanishing


class MessageCalls(Desks):
    """The node's messages: send, change, sign, take back, list, wait for."""

    async def send(
        self, contact: str, text: str, *, expires_in_s: int | None = None
    ) -> MessageView:
        """Queue a message; it is on the disk when this returns.

        Args:
            contact: For whom.
            text: What to say.
            expires_in_s: It is given up if it could not be sent for so long; without, as
                ``unsent_expires_h`` says.

        Raises:
            UsageError: Empty, longer than 64 KiB, or not text; or no time that can be waited for.
            TrustError: The contact is changed, blocked, or only a request.
        """
        peer = self._book.find(contact)
        record = await self._changes.send(peer, text, expires_in_s=expires_in_s)
        return message_view(peer, record)

    async def resend(self, contact: str, message_id: str) -> MessageView:
        """Queue a message that failed once more, as a new one in place of the old one.

        Raises:
            UsageError: There is no such message, it did not fail, or it is a statement.
            TrustError: Nothing may be sent to the contact.
        """
        peer = self._book.find(contact)
        record = await self._changes.resend(peer, parse_message_id(message_id))
        return message_view(peer, record)

    async def reply(self, contact: str, message_id: str, text: str) -> MessageView:
        """Queue a message that answers another one; otherwise as ``send``.

        Raises:
            UsageError: There is no message to answer, or the text cannot be sent.
        """
        peer = self._book.find(contact)
        wanted = parse_message_id(message_id)
        return message_view(peer, await self._changes.send(peer, text, wanted))

    async def edit(self, contact: str, message_id: str, text: str) -> None:
        """Replace the text of a message of ours, for both (§9.5).

        Raises:
            UsageError: It is none of ours or too old, the text cannot be sent, or the contact's
                program does not know edited messages; so, with what each needs, below.
            TrustError: Nothing may be sent to the contact; so below.
        """
        await self._changes.edit(self._book.find(contact), parse_message_id(message_id), text)

    async def delete(self, contact: str, message_id: str) -> None:
        """Delete a message of ours, for both; what has not left yet leaves no trace."""
        await self._changes.delete(self._book.find(contact), parse_message_id(message_id))

    async def react(self, contact: str, message_id: str, emoji: str) -> None:
        """Set our reaction to a message of either side; an empty one takes it back."""
        await self._changes.react(self._book.find(contact), parse_message_id(message_id), emoji)

    def typing(self, contact: str, *, writing: bool) -> bool:
        """Tell a contact that the person writes; returns whether the settings let it be told."""
        return self._reception.typing.tell(self._book.find(contact), writing=writing)

    async def timer(self, contact: str, step: TimerStep, seconds: int = 0) -> Vanishing:
        """Propose that messages disappear after some seconds, accept, decline or end it (§9.6)."""
        return await self._changes.timer(self._book.find(contact), step, seconds)

    async def record(self, contact: str, step: RecordStep) -> OnRecord:
        """Propose to go on the record with a contact, accept, decline or end it (§9.4).

        Raises:
            UsageError: That is no answer to where you stand.
            TrustError: Nothing may be sent to the contact.
        """
        return await self._records.step(self._book.find(contact), step)

    async def sign(self, contact: str, text: str) -> MessageView:
        """Sign a statement for a contact and queue it; it proves for good who said it.

        Raises:
            UsageError: Empty, longer than 64 KiB, or not text.
            TrustError: You have not both agreed, or nothing may be sent to the contact.
        """
        peer = self._book.find(contact)
        return message_view(peer, await self._records.sign(peer, text))

    async def export_statement(self, contact: str, message_id: str) -> str:
        """Return a statement, given or received, as a text that anybody can check.

        Raises:
            UsageError: There is no such statement.
        """
        wanted = parse_message_id(message_id)
        return await self._records.export(self._book.find(contact), wanted)

    async def cancel(self, contact: str, message_id: str) -> None:
        """Delete a message that has not left yet.

        Raises:
            UsageError: There is none, or it has left.
        """
        peer = self._book.find(contact)
        await self._conversations.cancel(peer, parse_message_id(message_id))

    async def messages(
        self,
        contact: str,
        *,
        before: str | None = None,
        after: str | None = None,
        limit: int = 50,
        search: str | None = None,
        after_ms: int | None = None,
        before_ms: int | None = None,
        oldest: bool = False,
    ) -> list[MessageView]:
        """Return the newest messages, oldest first.

        Args:
            contact: Whose.
            before: Only those before this message id.
            after: The oldest ones after this message id; with ``limit`` alone.
            limit: How many, at most ``MESSAGES_MAX``.
            search: Only those that contain all these words.
            after_ms: Only those that state this time or a later one.
            before_ms: Only those that state an earlier time.
            oldest: The oldest of all these, in place of the newest; not with ``search``.
        """
        peer = self._book.find(contact)
        records = await self._conversations.messages(
            peer,
            before=None if before is None else parse_message_id(before),
            after=None if after is None else parse_message_id(after),
            limit=limit,
            search=search,
            after_ms=after_ms,
            before_ms=before_ms,
            oldest=oldest,
        )
        return [message_view(peer, record) for record in records]

    async def ledger(self, contact: str, limit: int = 50) -> list[LedgerView]:
        """Return what differed between the two sides' accounts, newest first."""
        return await self._reception.ledgers.findings(self._book.find(contact), limit)

    async def mark_read(self, contact: str) -> None:
        """Note that the person has seen everything."""
        await self._changes.read(self._book.find(contact))

    async def wait_delivered(
        self,
        contact: str,
        message_id: str,
        timeout: float,  # noqa: ASYNC109  # measured by the node's clock, which a test can move
    ) -> MessageView:
        """Wait until the peer has stored a message, or it was given up.

        Raises:
            UsageError: There is no such message.
            UnreachableError: Not within ``timeout`` seconds; it stays in the outbox.
        """
        peer = self._book.find(contact)
        wanted = parse_message_id(message_id)
        return message_view(peer, await self._conversations.wait_delivered(peer, wanted, timeout))
