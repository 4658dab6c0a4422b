// Sessions: agreement, envelopes with indexes, acknowledgements (protocol.md 8.2 to 8.5, 9.2).
//
// A session lives in a contact's record and outlives connections. This module changes the record;
// whoever calls it saves the record before a frame that depends on it is sent.

import { EMPTY, concat, equal, hex, readU64, u64, utf8 } from './bytes.mjs';
import { LIMITS, Refusal } from './errors.mjs';
import { checkSuccession } from './identity.mjs';
import { decodeMap, encode, fields, kinds } from './msgpack.mjs';
import { random, sha256 } from './primitives.mjs';
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
  outbox: [], // { id, content, index }: not acknowledged; index is null while it is not sealed
  storedIds: [],
});

/** Queues a text; gives its id in hexadecimal. */
export function queueText(contact, body, now) {
  const length = Buffer.byteLength(body);
  if (length < 1 || length > LIMITS.textBytes) throw new RangeError('a text of 1 to 65536 bytes');
  const id = random(16);
  const content = encode({ t: 'text', id, at: now, body });
  contact.outbox.push({ id: hex(id), content, index: null });
  return hex(id);
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
    message.index = entry.index;
    sealed.push(entry);
  }
  return sealed;
}

/** Drops the stored session: what was not acknowledged is sealed again in the next one. */
export function dropSession(contact) {
  contact.session = null;
  for (const message of contact.outbox) message.index = null;
}

/** Bodies of the frames that carry one envelope, the last one being the RATCHET (8.5). */
export function envelopeParts({ index, envelope }) {
  const whole = concat(u64(index), envelope);
  const parts = [];
  for (let at = 0; at < whole.length; at += PART_MAX) parts.push(whole.slice(at, at + PART_MAX));
  return parts;
}

/** Takes an acknowledgement; gives the ids of the messages that it delivers. */
export function acknowledge(contact, n) {
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
    delivered.push(messageId);
  }
  return delivered;
}

/** A message; `text` is null if it is of a later version, and is stored as such. */
function parseContent(content) {
  const map = decodeMap(content, LIMITS.contentBytes);
  const known = new Map([...map].filter(([name]) => !name.startsWith('!')));
  const mandatory = known.size < map.size;
  const common = fields(known, {
    t: (value) => typeof value === 'string' && [...value].length >= 1 && [...value].length <= 32,
    id: kinds.bytes(16),
    at: kinds.int(2n ** 53n - 1n),
  });
  if (common.t !== 'text' || mandatory) return { kind: common.t, id: hex(common.id), text: null };
  const { body } = fields(known, { body: kinds.text(1, LIMITS.textBytes) });
  return { kind: 'text', id: hex(common.id), text: body };
}

/**
 * Takes one whole envelope with its index. Gives the message inside, or null if there is none or it
 * is stored already; either way everything up to `session.received` may be acknowledged afterwards.
 */
export function receiveEnvelope(contact, whole) {
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
  const message = content.length === 0 ? null : parseContent(content);
  session.ratchet = ratchet.state;
  session.received += 1;
  session.digestReceived = digestNext(session.digestReceived, envelope);
  if (message === null || contact.storedIds.includes(message.id)) return null;
  contact.storedIds.push(message.id);
  return message;
}

/** Checks a HELLO of `peer` (8.3). */
export function parseHello(body, peer) {
  const map = decodeMap(body, LIMITS.greeting);
  const hello = fields(map, {
    accepted: kinds.bool,
    'name?': kinds.text(0, LIMITS.nameBytes),
    'note?': kinds.textChars(0, LIMITS.noteChars),
    'session?': kinds.map,
    'recovered?': kinds.int(2n ** 53n - 1n),
    'succession?': kinds.bytes(201),
  });
  if (hello.session) {
    hello.session = fields(hello.session, {
      id: kinds.bytes(16),
      sent: kinds.int(2n ** 64n - 1n),
      received: kinds.int(2n ** 64n - 1n),
      digest: kinds.bytes(32),
    });
  }
  if (hello.succession) checkSuccession(hello.succession, peer);
  return hello;
}

export const writeHello = ({ name, session }) => encode({
  accepted: true, name, ...(session ? { session } : {}),
});
