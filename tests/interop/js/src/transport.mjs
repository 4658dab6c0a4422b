// Transport frames: padding, kinds, change of key (protocol.md 7).

import { EMPTY, concat, isZero, readU16, u16, u8 } from './bytes.mjs';
import { LIMITS, Refusal } from './errors.mjs';

export const KINDS = Object.freeze({
  PING: 0x01,
  PONG: 0x02,
  CLOSE: 0x03,
  REKEY: 0x04,
  HELLO: 0x10,
  RESUME: 0x11,
  RESET: 0x12,
  RATCHET_PART: 0x20,
  RATCHET: 0x21,
  ACK: 0x22,
  CERTIFICATE: 0x81,
  REVOKED: 0x82,
  COMPARE: 0x83,
  LEDGER: 0x84,
  TYPING: 0x85,
});

const FIXED_LENGTHS = new Map([
  [KINDS.PING, 8], [KINDS.PONG, 8], [KINDS.CLOSE, 2], [KINDS.REKEY, 0],
  [KINDS.RESUME, 0], [KINDS.RESET, 0], [KINDS.ACK, 8],
  [KINDS.CERTIFICATE, 149], [KINDS.LEDGER, 40], [KINDS.TYPING, 1],
]);
const NAMES = new Map(Object.entries(KINDS).map(([name, kind]) => [kind, name]));
const BUCKETS = [256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65519];
export const PART_MAX = 65516;

export const kindName = (kind) => NAMES.get(kind) ?? `0x${kind.toString(16)}`;

export function pad(kind, body) {
  const size = BUCKETS.find((bucket) => bucket >= 3 + body.length);
  return concat(u8(kind), u16(body.length), body, new Uint8Array(size - 3 - body.length));
}

export function unpad(plaintext) {
  const refuse = (reason) => {
    throw new Refusal('PROTOCOL_VIOLATION', reason);
  };
  if (!BUCKETS.includes(plaintext.length)) refuse('a frame of a size that does not exist');
  const length = readU16(plaintext, 1);
  if (3 + length > plaintext.length) refuse('a length beyond the frame');
  if (!isZero(plaintext.subarray(3 + length))) refuse('padding that is not zero');
  const kind = plaintext[0];
  const fixed = FIXED_LENGTHS.get(kind);
  if (fixed !== undefined && fixed !== length) refuse(`a ${kindName(kind)} of a wrong length`);
  if (!NAMES.has(kind) && kind < 0x80) refuse('an unknown kind of frame');
  if (NAMES.has(kind) && kind >= 0x80 && (length < 1 || length > LIMITS.noticeBytes)) {
    refuse('a notice of a wrong length');
  }
  return { kind, body: plaintext.slice(3, 3 + length) };
}

/** The sending half: gives the Noise messages for one frame, a REKEY before it if one is due. */
export class Sender {
  constructor(cipher, now) {
    this.cipher = cipher;
    this.frames = 0;
    this.since = now;
    this.changes = 0;
  }

  /** Noise messages to send, in order. */
  frame(kind, body, now) {
    const out = [];
    if (this.frames >= LIMITS.rekeyFrames - 1 || now - this.since >= LIMITS.rekeyMs) {
      out.push(this.cipher.encrypt(EMPTY, pad(KINDS.REKEY, EMPTY)));
      this.cipher.rekey();
      this.frames = 0;
      this.since = now;
      this.changes += 1;
    }
    out.push(this.cipher.encrypt(EMPTY, pad(kind, body)));
    this.frames += 1;
    return out;
  }
}

export class Receiver {
  constructor(cipher) {
    this.cipher = cipher;
    this.frames = 0;
    this.changes = 0;
  }

  /** One frame; a REKEY takes effect here. */
  frame(message) {
    if (this.frames >= LIMITS.rekeyTolerated) {
      throw new Refusal('LIMIT_EXCEEDED', 'too many frames under one key');
    }
    let plaintext;
    try {
      plaintext = this.cipher.decrypt(EMPTY, message);
    } catch {
      throw new Refusal('PROTOCOL_VIOLATION', 'a frame that does not decrypt');
    }
    this.frames += 1;
    const frame = unpad(plaintext);
    if (frame.kind === KINDS.REKEY) {
      this.cipher.rekey();
      this.frames = 0;
      this.changes += 1;
    }
    return frame;
  }
}
