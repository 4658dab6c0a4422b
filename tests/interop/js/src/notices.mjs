// Notices: what a proven peer tells outside the ratchet (protocol.md 3.7, 7.8, 8.6).

import { concat, equal, hex, readU64, u64, u8 } from './bytes.mjs';
import { Comparison } from './comparison.mjs';
import { LIMITS, Refusal } from './errors.mjs';
import { parseCertificate, peerId, readRevocation } from './identity.mjs';
import { checkReceived, noticeLedger } from './ledger.mjs';
import { dropSession } from './session.mjs';
import { KINDS } from './transport.mjs';

/** Those of one connection. `io.send(kind, body)` sends a frame, `io.changed()` has the profile saved. */
export class Notices {
  constructor({ profile, contact, h, presented, io, now }) {
    Object.assign(this, { profile, contact, io, now });
    this.told = presented; // the certificate that the peer has of us
    this.typedAt = -Infinity;
    this.typingShown = null; // when the peer last said that its person is writing
    this.comparison = new Comparison({
      h, own: profile.identity, peer: contact.identity, now,
      io: {
        send: (body) => io.send(KINDS.COMPARE, body),
        tries: () => contact.tries,
        setTries: (count) => {
          contact.tries = count;
          io.changed();
        },
        verified: () => {
          Object.assign(contact, { verified: true, tries: 0 });
          io.changed();
        },
        tell: (outcome) => io.emit({ event: 'compare', outcome }),
      },
    });
  }

  /** What is due as soon as notices may be sent. */
  begin() {
    if (this.profile.revocation) this.io.send(KINDS.REVOKED, this.profile.revocation);
    this.tellCertificate();
  }

  tellCertificate() {
    if (equal(this.told, this.profile.certificate)) return;
    this.told = this.profile.certificate;
    this.io.send(KINDS.CERTIFICATE, this.told);
  }

  tellLedger() {
    const ours = noticeLedger(this.contact.ledger);
    if (ours) this.io.send(KINDS.LEDGER, concat(u64(ours.count), ours.digest));
  }

  /** At most one "writing" every 3 s. */
  tellTyping(on) {
    if (on && this.now() - this.typedAt < LIMITS.typingMs) return;
    this.typedAt = on ? this.now() : -Infinity;
    this.io.send(KINDS.TYPING, u8(on ? 1 : 0));
  }

  tick() {
    this.comparison.tick();
    if (this.typingShown !== null && this.now() - this.typingShown >= LIMITS.typingShownMs) {
      this.hideTyping();
    }
  }

  hideTyping() {
    if (this.typingShown === null) return;
    this.typingShown = null;
    this.io.emit({ event: 'typing', on: false });
  }

  receive(kind, body, state) {
    switch (kind) {
      case KINDS.CERTIFICATE: this.#certificate(body); break;
      case KINDS.REVOKED: this.#revoked(body); break;
      case KINDS.LEDGER: this.#ledger(body); break;
      case KINDS.TYPING: this.#typing(body); break;
      default: // COMPARE
        if (state !== 'OPEN') throw new Refusal('PROTOCOL_VIOLATION', `COMPARE in ${state}`);
        this.comparison.receive(body);
    }
  }

  /** */
  #certificate(body) {
    const { contact, profile } = this;
    const refuse = (reason) => {
      throw new Refusal('CERTIFICATE_INVALID', reason);
    };
    const { identity, staticPub, generation } = parseCertificate(body, this.now());
    if (!equal(identity, contact.identity)) refuse('of another identity');
    if (profile.ownStatic(staticPub)) refuse('our own static key');
    if (generation < contact.generation) refuse('an old generation');
    Object.assign(contact, { certificate: body, generation });
    this.io.changed();
    this.io.emit({ event: 'rotated', generation });
  }

  /** */
  #revoked(body) {
    const { contact, profile } = this;
    if (body.length !== 97) throw new Refusal('PROTOCOL_VIOLATION', 'a revocation of a wrong length');
    const identity = body.slice(1, 33);
    const own = equal(identity, profile.identity);
    const known = profile.known(identity);
    if (!own && !known) return; // of nobody we know
    readRevocation(body);
    this.io.changed();
    this.io.emit({ event: 'revoked', peer_id: peerId(identity), own });
    if (own) {
      profile.revocation = body;
      this.io.send(KINDS.REVOKED, body);
      return;
    }
    known.revoked = true;
    dropSession(known);
    if (known === contact) throw new Refusal('KEY_REVOKED', 'the peer\'s identity is revoked');
  }

  /** */
  #ledger(body) {
    const count = readU64(body);
    if (count > LIMITS.countMax) throw new Refusal('PROTOCOL_VIOLATION', 'a count that cannot be');
    const differences = checkReceived(this.contact.ledger, Number(count), body.slice(8));
    for (const difference of differences) this.io.emit({ event: 'ledger', ...difference });
    this.io.changed();
  }

  #typing(body) {
    if (body[0] > 1) throw new Refusal('PROTOCOL_VIOLATION', `TYPING ${hex(body)}`);
    if (body[0] === 0) {
      this.hideTyping();
      return;
    }
    if (this.typingShown === null) this.io.emit({ event: 'typing', on: true });
    this.typingShown = this.now();
  }
}
