// Sessions: agreement, envelopes with indexes, acknowledgements (protocol.md 8.2 to 8.5).
//
// A session lives in a contact's record and outlives connections. This module changes the record;
// whoever calls it saves the record before a frame that depends on it is sent.

import { EMPTY, concat, equal, readU64, u64, unhex, utf8 } from './bytes.mjs';
import { apply, newConversation, startClock } from './conversation.mjs';
import { LIMITS, Refusal } from './errors.mjs';
import { readSuccession } from './identity.mjs';
import { countMessage, newLedger } from './ledger.mjs';
import { MESSAGE_KINDS, mayBeSent, readMessage, writeMessage } from './messages.mjs';
import { decodeMap, encode, fields, kinds } from './msgpack.mjs';
import { sha256 } from './primitives.mjs';
import { Ratchet, seedKeys } from './ratchet.mjs';
import { PART_MAX } from './transport.mjs';

const LABEL = utf8('p2pchat/1 envelope digest');
const digestStart = (id) => sha256(LABEL, id);
const digestNext = (digest, envelope) => sha256(LABEL, digest, envelope);

/** A contact that nothing is known of but its identity. */
export const newContact = (identity) => ({
  identity,
  certificate: null,
  generation: 0,
  hybrid: false,
  ikTime: 0n,
  session: null,
  outbox: [], // { id, content, index, left }: not acknowledged; index is null while it is not sealed
  storedIds: [],
  kinds: ['text'], // of messages, as the last HELLO that accepted named them
  ledger: newLedger(),
  ...newConversation(),
  verified: false,
  tries: 0, // wrong phrases
  revoked: false,
  successor: null, // an identity on offer in the place of this one
});

/** Queues a message of ours and gives its id in hexadecimal; refuses what would come to nothing. */
export function queueMessage(contact, fields_, now) {
  const ttl = contact.timer.inForce;
  const { content, message } = writeMessage(
    fields_.t === 'text' && ttl > 0 ? { ...fields_, ttl } : fields_, now,
  );
  if (!mayBeSent(contact, message)) throw new Error(`the peer does not know ${message.t} (R-8.3.6)`);
  if (contact.revoked || contact.successor) throw new Error('nothing is sent (R-3.6.6, R-3.7.4)');
  if (!apply(contact, message, true)) throw new Error(`a ${message.t} that changes nothing`);
  const waiting = message.t === 'delete' && contact.outbox.find(({ id }) => id === message.of);
  if (waiting && waiting.index === null) {
    if (!waiting.left) { // nobody has seen it: neither it nor its deletion need be sent
      contact.outbox = contact.outbox.filter((entry) => entry !== waiting);
      return message.id;
    }
    deleteInPlace(waiting, now);
  }
  contact.outbox.push({ id: message.id, content, index: null, left: false });
  return message.id;
}

export const queueText = (contact, body, now) => queueMessage(contact, { t: 'text', body }, now);

/** A deleted text that may or may not have arrived. */
function deleteInPlace(entry, now) {
  const id = unhex(entry.id);
  entry.content = writeMessage({ t: 'delete', id, of: id }, now).content;
}

/** What a HELLO says about the stored session, or undefined. */
export const helloSession = (session) => session && {
  id: session.id,
  sent: session.sent,
  received: session.received,
  digest: session.digestReceived,
};

/** Whether the stored session and the peer's description of its own fit. */
export function fits(session, theirs) {
  if (!session || !theirs || !equal(session.id, theirs.id)) return false;
  if (theirs.sent < session.received) return false;
  if (theirs.received < session.acked || theirs.received > session.sent) return false;
  const digest = theirs.received === BigInt(session.acked)
    ? session.digestAcked
    : session.unacked.find(({ index }) => BigInt(index) === theirs.received).digest;
  return equal(digest, theirs.digest);
}

/** A new session from a handshake. */
export function newSession({ initiator, ck, h, ownIdentity, peerIdentity, pair, responderKey }) {
  const seed = seedKeys(ck, h);
  const ad = concat(h, ...(initiator ? [ownIdentity, peerIdentity] : [peerIdentity, ownIdentity]));
  const ratchet = initiator
    ? Ratchet.initiator({ seed, ad, responderKey })
    : Ratchet.responder({ seed, ad, pair });
  const start = digestStart(seed.sessionId);
  return {
    id: seed.sessionId,
    ratchet: ratchet.state,
    sent: 0,
    received: 0,
    acked: 0,
    digestReceived: start,
    digestSent: start,
    digestAcked: start,
    unacked: [], // { index, envelope, digest, messageId }
  };
}

function sealOne(session, content, messageId) {
  const ratchet = new Ratchet(session.ratchet);
  const envelope = ratchet.encrypt(content);
  session.ratchet = ratchet.state;
  session.sent += 1;
  session.digestSent = digestNext(session.digestSent, envelope);
  const entry = { index: session.sent, envelope, digest: session.digestSent, messageId };
  session.unacked.push(entry);
  return entry;
}

/** The empty envelope with which the initiator of a new session begins. */
export const sealGreeting = (contact) => sealOne(contact.session, EMPTY, null);

/** Seals what waits in the outbox, as far as the window and the ratchet allow. */
export function sealWaiting(contact) {
  const { session } = contact;
  const sealed = [];
  for (const message of contact.outbox.filter(({ index }) => index === null)) {
    if (session.unacked.length >= LIMITS.window || !new Ratchet(session.ratchet).canSend) break;
    const entry = sealOne(session, message.content, message.id);
    Object.assign(message, { index: entry.index, left: true });
    sealed.push(entry);
  }
  return sealed;
}

/** Drops the stored session: what was not acknowledged is sealed again in the next one. */
export function dropSession(contact, now = Date.now()) {
  contact.session = null;
  for (const message of contact.outbox) {
    message.index = null;
    const line = contact.lines.find(({ id }) => id === message.id);
    if (message.left && line?.deleted) deleteInPlace(message, now);
  }
}

/** Bodies of the frames that carry one envelope, the last one being the RATCHET (8.5). */
export function envelopeParts({ index, envelope }) {
  const whole = concat(u64(index), envelope);
  const parts = [];
  for (let at = 0; at < whole.length; at += PART_MAX) parts.push(whole.slice(at, at + PART_MAX));
  return parts;
}

/** Takes an acknowledgement; gives the ids of the messages that it delivers. */
export function acknowledge(contact, n, now) {
  const { session } = contact;
  if (n < session.acked || n > session.sent) {
    throw new Refusal('PROTOCOL_VIOLATION', 'an acknowledgement out of range');
  }
  const delivered = [];
  while (session.unacked.length > 0 && session.unacked[0].index <= n) {
    const { index, digest, messageId } = session.unacked.shift();
    session.acked = index;
    session.digestAcked = digest;
    if (messageId === null) continue;
    contact.outbox = contact.outbox.filter(({ id }) => id !== messageId);
    countMessage(contact.ledger.sent, messageId);
    startClock(contact, messageId, now);
    delivered.push(messageId);
  }
  return delivered;
}

/**
 * Takes one whole envelope with its index. Gives the message inside, or null if there is none or it
 * is stored already; either way everything up to `session.received` may be acknowledged afterwards.
 * `signedText` gives the text of a `statement` if it is one.
 */
export function receiveEnvelope(contact, whole, now, signedText) {
  const { session } = contact;
  if (whole.length < 8) throw new Refusal('PROTOCOL_VIOLATION', 'an envelope without an index');
  const index = readU64(whole);
  if (index <= session.received) return null;
  if (index > session.received + 1) throw new Refusal('PROTOCOL_VIOLATION', 'an index too far');
  const envelope = whole.slice(8);
  const ratchet = new Ratchet(session.ratchet);
  let content;
  try {
    content = ratchet.decrypt(envelope);
  } catch (error) {
    dropSession(contact);
    throw new Refusal('SESSION_BROKEN', error.message);
  }
  const message = content.length === 0 ? null : readMessage(content);
  session.ratchet = ratchet.state;
  session.received += 1;
  session.digestReceived = digestNext(session.digestReceived, envelope);
  if (message === null || contact.storedIds.includes(message.id)) return null;
  contact.storedIds.push(message.id);
  countMessage(contact.ledger.received, message.id);
  if (message.unknown) return message;
  if (message.t === 'statement') message.body = contact.record === 'on' ? signedText(message) : null;
  message.applied = apply(contact, message, false);
  startClock(contact, message.id, now); // whoever runs this peer reads what it prints
  return message;
}

/** Checks a HELLO of `peer` (8.3). */
export function parseHello(body, peer) {
  const map = decodeMap(body, LIMITS.greeting);
  const hello = fields(map, {
    accepted: kinds.bool,
    'name?': kinds.text(0, LIMITS.nameBytes),
    'note?': kinds.textChars(0, LIMITS.noteChars),
    'session?': kinds.orNil(kinds.map),
    'ledger?': kinds.orNil(kinds.map),
    'recovered?': kinds.orNil(kinds.int(LIMITS.timeMax)),
    'succession?': kinds.orNil(kinds.bytes(201)),
    'kinds?': kinds.arrayOf(64, kinds.textChars(1, LIMITS.kindChars)),
  });
  if (hello.session) {
    hello.session = fields(hello.session, {
      id: kinds.bytes(16),
      sent: kinds.int(LIMITS.countMax),
      received: kinds.int(LIMITS.countMax),
      digest: kinds.bytes(32),
    });
  }
  if (hello.ledger) {
    hello.ledger = fields(hello.ledger, {
      sent: kinds.int(LIMITS.countMax),
      sent_digest: kinds.bytes(32),
      received: kinds.int(LIMITS.countMax),
      received_digest: kinds.bytes(32),
    });
  }
  if (hello.accepted && hello.succession) {
    hello.succession = readSuccession(hello.succession);
    if (!equal(hello.succession.successor, peer)) {
      throw new Refusal('PROTOCOL_VIOLATION', 'a succession to somebody else');
    }
  }
  return hello;
}

export const writeHello = ({ name, session, ledger, succession }) => encode({
  accepted: true,
  name,
  kinds: MESSAGE_KINDS,
  ...(session ? { session } : {}),
  ...(ledger ? { ledger } : {}),
  ...(succession ? { succession } : {}),
});
