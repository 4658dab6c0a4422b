"""Contacts as rows; a stale record does not bring back one that was removed."""

from __future__ import annotations

import json
from typing import Any

from p2pchat.errors import ContactError, UnknownContactError
from p2pchat.store import freshness
from p2pchat.store.operations.base import Operations
from p2pchat.store.records import ContactRecord, name_key_of
from p2pchat.store.rows import CONTACT_QUERY, contact_from


class ContactOperations(Operations):
    """Reading, writing and removing contacts."""

    __slots__ = ()

    def contacts(self) -> list[ContactRecord]:
        """See ``ports.Transaction``."""
        return [contact_from(row) for row in self._execute(f"{CONTACT_QUERY} ORDER BY name_key")]

    def contact(self, contact_id: int) -> ContactRecord | None:
        """See ``ports.Transaction``."""
        for row in self._execute(f"{CONTACT_QUERY} WHERE contact_id = ?", (contact_id,)):
            return contact_from(row)
        return None

    def put_contact(self, contact: ContactRecord) -> ContactRecord:
        """See ``ports.Transaction``."""
        name_key = name_key_of(contact.name)
        self._require_free("name_key", name_key, contact)
        self._require_free("identity", contact.pin.identity, contact)
        values: tuple[Any, ...] = (
            contact.name,
            name_key,
            contact.pin.identity,
            contact.pin.trust,
            contact.pin.offered,
            json.dumps(contact.addresses),
            contact.note,
            contact.certificate_generation,
            contact.added_at_ms,
            contact.verified_at_ms,
            int(contact.post_quantum),
            contact.static,
            contact.handshake_time_ms,
            contact.verified_by,
            contact.secret_tries,
        )
        if contact.contact_id == 0:
            sql = (
                "INSERT INTO contact (name, name_key, identity, trust, offered, addresses, note,"
                " certificate_generation, added_at_ms, verified_at_ms, post_quantum, static,"
                " handshake_time_ms, verified_by, secret_tries)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING contact_id"
            )
        else:
            sql = (
                "UPDATE contact SET name = ?, name_key = ?, identity = ?, trust = ?, offered = ?,"
                " addresses = ?, note = ?, certificate_generation = ?, added_at_ms = ?,"
                " verified_at_ms = ?, post_quantum = ?, static = ?, handshake_time_ms = ?,"
                " verified_by = ?, secret_tries = ?"
                " WHERE contact_id = ? RETURNING contact_id"
            )
            values = (*values, contact.contact_id)
        stored = self._execute(sql, values)
        record = self.contact(stored[0][0]) if stored else None
        if record is None:
            raise UnknownContactError("the contact does not exist any more")
        return record

    def remove_contact(self, contact_id: int) -> None:
        """See ``ports.Transaction``."""
        self._index.forget(
            [
                position
                for (position,) in self._execute(
                    "SELECT position FROM message WHERE contact_id = ?", (contact_id,)
                )
            ]
        )
        freshness.change(self._execute, contact_id, None)
        self._execute("DELETE FROM contact WHERE contact_id = ?", (contact_id,))

    def _require_free(self, column: str, value: str | bytes, contact: ContactRecord) -> None:
        taken = self._execute(
            f"SELECT name FROM contact WHERE {column} = ? AND contact_id <> ?",  # noqa: S608  # one of two constants
            (value, contact.contact_id),
        )
        if taken and column == "identity":
            raise ContactError(f"that identity is the contact {taken[0][0]!r} already")
        if taken:
            raise ContactError(f"another contact is called {taken[0][0]!r}; choose another name")
