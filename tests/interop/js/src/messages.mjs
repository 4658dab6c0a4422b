// Application messages (protocol.md 9.2): their fields, and which may be sent to whom.

import { hex } from './bytes.mjs';
import { LIMITS } from './errors.mjs';
import { decodeMap, encode, fields, kinds } from './msgpack.mjs';
import { random } from './primitives.mjs';

const oneOf = (...values) => (value) => values.includes(value);
const words = oneOf('propose', 'accept', 'decline', 'end');
const body = kinds.text(1, LIMITS.textBytes);
const id = kinds.bytes(16);
const seconds = (value) =>
  typeof value === 'bigint' && value >= LIMITS.timerMin && value <= LIMITS.timerMax;

/** Fields of each kind beyond the common ones. */
const FIELDS = {
  text: { body, 're?': id, 'ttl?': seconds },
  record: { state: words },
  statement: { signed: kinds.bytesBetween(LIMITS.statementMin, LIMITS.statementMax) },
  edit: { of: id, body },
  delete: { of: id },
  reaction: { of: id, emoji: kinds.text(0, LIMITS.reactionBytes) },
  read: { of: id },
  timer: { state: words },
};

/** What a timer's state asks for besides (9.2). */
const TIMER_FIELDS = { propose: { s: seconds }, accept: { of: id }, decline: { of: id }, end: {} };

/** The kinds that we understand, as a HELLO names them (8.3). */
export const MESSAGE_KINDS = Object.freeze(Object.keys(FIELDS).sort());

/**
 * A message: `t`, `id`, `at` and the fields of its kind, byte strings in hexadecimal. One of a later
 * version has `unknown` and no further fields, and is stored as such.
 */
export function readMessage(content) {
  const map = decodeMap(content, LIMITS.contentBytes);
  const known = new Map([...map].filter(([name]) => !name.startsWith('!')));
  const common = fields(known, {
    t: kinds.textChars(1, LIMITS.kindChars), id, at: kinds.int(LIMITS.timeMax),
  });
  const ofKind = Object.hasOwn(FIELDS, common.t) && known.size === map.size ? FIELDS[common.t] : null;
  const special = ofKind === null ? { unknown: true } : fields(known, ofKind);
  if (ofKind === FIELDS.timer) Object.assign(special, fields(known, TIMER_FIELDS[special.state]));
  return Object.fromEntries(Object.entries({ ...common, ...special }).map(([name, value]) => [
    name,
    value instanceof Uint8Array ? hex(value) : typeof value === 'bigint' ? Number(value) : value,
  ]));
}

/** The bytes of a new message and its id; what its receiver would refuse is refused here. */
export function writeMessage(message, now) {
  const messageId = message.id ?? random(16);
  const content = encode({ ...message, id: messageId, at: now });
  return { content, message: readMessage(content) };
}

/** Whether the peer of a contact understands this message. */
export function mayBeSent(contact, { t, state, ttl }) {
  if (t === 'timer' && state === 'end') return true;
  const optional = ['edit', 'delete', 'reaction', 'read', 'timer'];
  return (!optional.includes(t) || contact.kinds.includes(t))
    && (ttl === undefined || contact.kinds.includes('timer'));
}
