"""Which identities are revoked, as the running node remembers it (protocol.md §3.7).

A copy of what the store holds, so that a connection is judged without waiting for the disk. A
revocation is final: nothing is ever taken out.
"""

from __future__ import annotations

from p2pchat.errors import TrustError
from p2pchat.store.records import RevocationRecord


class Revocations:
    """The revocations in effect, and the certificates of our own that are kept.

    Attributes:
        own: The current identity's revocation, once it is in effect: we are revoked.
    """

    def __init__(self) -> None:
        self.own: RevocationRecord | None = None
        self._identity = b""
        self._records: dict[bytes, RevocationRecord] = {}

    def put(self, record: RevocationRecord, *, identity: bytes) -> None:
        """Take a stored record; ``identity`` is our current one."""
        self._identity = identity
        self._records[record.identity] = record
        if record.identity == identity and record.revoked_at_ms is not None:
            self.own = record

    def certificate(self, identity: bytes) -> RevocationRecord | None:
        """Return the certificate for an identity, in effect or not."""
        return self._records.get(identity)

    def refuses(self, identity: bytes) -> bool:
        """Tell whether no connection with this identity may be had any more.

        That goes for our own former ones, too: their seeds are deleted, so it is not us.
        """
        record = self._records.get(identity)
        if record is None:
            return False
        former = record.ours and identity != self._identity
        return former or record.revoked_at_ms is not None

    @property
    def published(self) -> list[RevocationRecord]:
        """Those of our own identities, former ones too, that every contact has to learn of."""
        return [
            record
            for record in self._records.values()
            if record.ours and record.revoked_at_ms is not None
        ]

    def require_own_key(self) -> None:
        """Return only if our own identity is not revoked.

        Raises:
            TrustError: It is: nothing may be sent under it.
        """
        if self.own is not None:
            raise TrustError(
                "you have revoked your key: nothing is sent with it any more; make a new identity "
                "(p2pchat --profile NAME init) and give its link to your contacts"
            )
