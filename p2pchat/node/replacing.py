"""Another identity in the same profile: contacts and messages stay, keys and sessions do not.

One unit of work, so that there is no moment with two identities or none. The old seed is
overwritten; of the old identity only its revocation certificate and the announcement that it has
signed are kept. What we compared stands for the old pair of identities, so it is to be done again.
"""

from __future__ import annotations

from dataclasses import replace

from p2pchat.crypto import ed25519, x25519
from p2pchat.crypto.secret import Rng
from p2pchat.errors import DamagedStoreError
from p2pchat.identity.certificate import issue
from p2pchat.identity.keys import generate_identity, key_id, peer_id
from p2pchat.identity.succession import succeed
from p2pchat.identity.trust import Trust
from p2pchat.node.on_record import forget_state
from p2pchat.store.audit_types import AuditEvent, AuditKind
from p2pchat.store.open import RECOVERED_AT_KEY
from p2pchat.store.ports import Transaction
from p2pchat.store.records import IdentityRecord, SuccessionRecord


def replace_identity(tx: Transaction, *, rng: Rng, now_ms: int) -> tuple[bytes, bytes]:
    """Give the profile a new identity; returns the old and the new one, 32 bytes each.

    If the old one is revoked already, nothing is announced: its signature is worth nothing.

    Raises:
        DamagedStoreError: The profile has no identity.
    """
    before = tx.identity()
    if before is None:
        raise DamagedStoreError("the profile's database holds no identity")
    old = ed25519.public_key(before.signing_seed)
    new = generate_identity(rng=rng)
    static = x25519.generate(rng=rng)
    certificate = issue(new.seed, static.public, generation=0, now_ms=now_ms)
    tx.put_identity(IdentityRecord(before.name, new.seed, static.private, certificate.encoded))
    tx.put_setting(RECOVERED_AT_KEY, "")
    revoked = {each.identity for each in tx.revocations() if each.revoked_at_ms is not None}
    if old not in revoked:
        statement = succeed(before.signing_seed, new.seed, now_ms=now_ms)
        tx.put_succession(SuccessionRecord(old, new.public, statement.encoded, now_ms))
    for contact in tx.contacts():
        pin = contact.pin
        if pin.trust is Trust.VERIFIED:
            pin = replace(pin, trust=Trust.UNVERIFIED)
        tx.put_contact(replace(contact, pin=pin, verified_at_ms=None, verified_by=None))
        tx.break_session(contact.contact_id)
        forget_state(tx, contact.contact_id)  # on the record it was the old identity
        tx.forget_ledger(contact.contact_id)  # the account of another pair of identities (§8.6)
    context = {"other": peer_id(old)}
    kind = AuditKind.IDENTITY_REPLACED
    tx.audit(AuditEvent(kind, now_ms, new.public, key_id(new.public), context))
    return old, new.public
