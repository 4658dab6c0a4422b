// Comparing a phrase: CPace over COMPARE notices (protocol.md 3.8, 7.8).

import { EMPTY, compare, concat, equal, hex, utf8 } from './bytes.mjs';
import { LIMITS, Refusal } from './errors.mjs';
import { LowOrderError, dh, hmacSha512, random, sha256, sha512 } from './primitives.mjs';

export const STEPS = Object.freeze({ ASK: 1, SHARE: 2, CONFIRM: 3, DIFFER: 4, CANCEL: 5 });

const PAYLOAD_BYTES = { 1: 32, 2: 32, 3: 64, 4: 0, 5: 0 };
const MESSAGES_MAX = 64;

// ---------------------------------------------------------------------- the phrase

/** Full case folding, of which JavaScript has only the parts. */
const foldChar = (char) => {
  if (char === 'ı') return char; // its capital I folds to i
  if (/[\u13a0-\u13f5]/.test(char)) return char; // Cherokee folds to capitals
  if (/[\u13f8-\u13fd\uab70-\uabbf]/.test(char)) return char.toUpperCase();
  return char.toLowerCase().toUpperCase().toLowerCase();
};
const casefold = (text) => [...text].map(foldChar).join('');

/** The phrase in the form that is compared, in UTF-8. */
export function normalisePhrase(text) {
  const phrase = casefold(text.normalize('NFKC')).normalize('NFKC')
    .replace(/^\p{White_Space}+|\p{White_Space}+$/gu, '').replace(/\p{White_Space}+/gu, ' ');
  if (/[\p{Cc}\p{Cs}\p{Cn}]/u.test(phrase)) throw new TypeError('characters that no phrase has');
  const bytes = utf8(phrase);
  if ([...phrase].length < LIMITS.phraseChars || bytes.length > LIMITS.phraseBytes) {
    throw new TypeError('a phrase of 4 characters to 256 bytes');
  }
  return bytes;
}

// ---------------------------------------------------------------------- CPace

function leb128(value) {
  const out = [];
  for (let rest = value; ; rest >>>= 7) {
    if (rest < 128) return Uint8Array.from([...out, rest]);
    out.push((rest & 127) | 128);
  }
}

const lv = (...parts) => concat(...parts.flatMap((part) => [leb128(part.length), part]));

const P = 2n ** 255n - 19n;
const A = 486662n;
const mod = (value) => ((value % P) + P) % P;

function power(base, exponent) {
  let result = 1n;
  for (let square = mod(base), e = exponent; e > 0n; e >>= 1n, square = mod(square * square)) {
    if (e & 1n) result = mod(result * square);
  }
  return result;
}

/** RFC 9380's map for Curve25519, first coordinate. */
function elligator2(u) {
  const v = mod(-A * power(1n + 2n * u * u, P - 2n));
  const e = power(v * v * v + A * v * v + v, (P - 1n) / 2n);
  return mod(e * v - (1n - e) * A * power(2n, P - 2n));
}

const littleEndian = (bytes) => BigInt(`0x${hex(bytes.slice().reverse())}`);

/** The generator of a run. */
export function generator(prs, ci, sid) {
  const dsi = utf8('CPace255');
  const padding = new Uint8Array(Math.max(0, 127 - lv(prs).length - lv(dsi).length));
  const hash = sha512(lv(dsi, prs, padding, ci, sid)).slice(0, 32);
  hash[31] &= 0x7f;
  const g = elligator2(littleEndian(hash));
  return Uint8Array.from({ length: 32 }, (_, i) => Number((g >> BigInt(8 * i)) & 255n));
}

export const share = (secret, g) => dh(secret, g);

/** ISK and both confirmations. Throws LowOrderError on a share that gives no key. */
export function confirmations({ secret, theirs, ya, yb, sid, ada, adb }) {
  const k = dh(secret, theirs);
  const isk = sha512(lv(utf8('CPace255_ISK'), sid, k), lv(ya, ada), lv(yb, adb));
  const mac = sha512(utf8('CPaceMac'), sid, isk);
  return { k, isk, ta: hmacSha512(mac, lv(ya, ada)), tb: hmacSha512(mac, lv(yb, adb)) };
}

export const comparisonInput = (asker, answerer) =>
  concat(utf8('p2pchat/1 comparison\0'), asker, answerer);

// ---------------------------------------------------------------------- messages

const binding = (h, sender, run) =>
  sha256(utf8('p2pchat/1 comparison binding\0'), h, sender, run).slice(0, 16);

export const writeStep = ({ step, run, payload = EMPTY }, h, sender) =>
  concat(Uint8Array.of(step), run, binding(h, sender, run), payload);

/** */
export function readStep(body) {
  const [step] = body;
  if (PAYLOAD_BYTES[step] === undefined || body.length !== 25 + PAYLOAD_BYTES[step]) {
    throw new Refusal('PROTOCOL_VIOLATION', 'a COMPARE that is none');
  }
  return { step, run: body.slice(1, 9), bound: body.slice(9, 25), payload: body.slice(25) };
}

// ---------------------------------------------------------------------- a run

/**
 * The comparisons of one connection. `io.send(body)` sends a COMPARE, `io.tries` reads and sets the
 * durable count, `io.verified()` marks the contact, `io.tell(outcome)` tells the person.
 */
export class Comparison {
  constructor({ h, own, peer, io, now = Date.now, draw = random }) {
    Object.assign(this, { h, own, peer, io, now, draw });
    this.state = 'IDLE';
    this.seen = new Set(); // run ids of this connection, in hexadecimal
    this.odd = 0;
  }

  #send(step, payload) {
    this.io.send(writeStep({ step, run: this.run, payload }, this.h, this.own));
  }

  #inputs(prs) {
    const sid = concat(this.h, this.run);
    const ci = this.asks ? comparisonInput(this.own, this.peer) : comparisonInput(this.peer, this.own);
    return { sid, g: generator(prs, ci, sid) };
  }

  #confirmations(theirs) {
    const [ya, yb] = this.asks ? [this.share, theirs] : [theirs, this.share];
    return confirmations({
      secret: this.secret, theirs, ya, yb, sid: this.sid, ada: utf8('asker'), adb: utf8('answerer'),
    });
  }

  #end(outcome) {
    this.last = this.run;
    this.state = 'IDLE';
    this.run = null;
    this.prs = null;
    this.secret = null;
    this.keys = null;
    this.io.tell(outcome);
  }

  #cancel(outcome) {
    this.#send(STEPS.CANCEL);
    this.#end(outcome);
  }

  /** Our person types a phrase: asks, or answers. */
  type(text) {
    const prs = normalisePhrase(text);
    if (this.io.tries() >= LIMITS.compareTries) throw new Error('too many wrong phrases (R-3.8.6)');
    if (this.state === 'IDLE') {
      this.asks = true;
      this.#begin(this.draw(8));
      this.prs = prs;
      this.#draw();
      this.#send(STEPS.ASK, this.share);
      this.state = 'ASKED';
    } else if (this.state === 'INVITED') {
      this.prs = prs;
      this.#answer();
    } else throw new Error(`a comparison is under way (${this.state})`);
  }

  #begin(run) {
    this.run = run;
    this.seen.add(hex(run));
    this.beganAt = this.now();
  }

  #draw() {
    const { sid, g } = this.#inputs(this.prs);
    this.sid = sid;
    this.secret = this.draw(32);
    this.share = share(this.secret, g);
  }

  #answer() {
    this.#draw();
    if (!this.#takeShare(this.theirs)) return;
    this.#send(STEPS.SHARE, this.share);
    this.state = 'ANSWERED';
  }

  #takeShare(theirs) {
    try {
      if (equal(theirs, this.share)) throw new LowOrderError('our own share');
      this.keys = this.#confirmations(theirs);
      return true;
    } catch (error) {
      if (!(error instanceof LowOrderError)) throw error;
      this.#cancel('disturbed');
      return false;
    }
  }

  giveUp() {
    if (this.state !== 'IDLE') this.#cancel('given up');
  }

  tick() {
    if (this.state !== 'IDLE' && this.now() - this.beganAt >= LIMITS.compareMs) this.#cancel('timeout');
  }

  /** A COMPARE of the peer. */
  receive(body) {
    const message = readStep(body);
    if (!equal(message.bound, binding(this.h, this.peer, message.run))) this.#odd('foreign');
    else if (message.step === STEPS.ASK) this.#asked(message);
    else if (this.run !== null && equal(message.run, this.run)) this.#step(message);
    else if (this.run !== null && !this.#ended(message.run)) this.#odd('repeated');
  }

  /** Whether a run is the one that ended last, or one of theirs that we passed over. */
  #ended(run) {
    return [this.last, this.passed].some((other) => other && equal(other, run));
  }

  /** A message that belongs to no run of ours; it ends the one under way. */
  #odd(outcome) {
    this.odd += 1;
    if (this.odd > MESSAGES_MAX) throw new Refusal('LIMIT_EXCEEDED', 'comparisons that come to nothing');
    if (this.state === 'IDLE') this.io.tell(outcome);
    else this.#cancel(outcome);
  }

  #asked({ run, payload }) {
    if (this.seen.has(hex(run))) {
      this.#odd('repeated');
      return;
    }
    this.seen.add(hex(run));
    if (this.seen.size > MESSAGES_MAX) throw new Refusal('LIMIT_EXCEEDED', 'too many comparisons');
    if (this.state === 'ASKED' && compare(this.own, this.peer) > 0) {
      this.passed = run; // ours goes before
      return;
    }
    if (this.state !== 'IDLE' && this.state !== 'ASKED') {
      this.#odd('disturbed');
      return;
    }
    if (this.io.tries() >= LIMITS.compareTries) {
      this.io.send(writeStep({ step: STEPS.CANCEL, run }, this.h, this.own));
      return;
    }
    const dropped = this.state === 'ASKED';
    if (dropped) this.last = this.run;
    this.asks = false;
    this.#begin(run);
    this.theirs = payload;
    if (dropped) {
      this.#answer();
      return;
    }
    this.state = 'INVITED';
    this.io.tell('invited');
  }

  #step({ step, payload }) {
    if (step === STEPS.CANCEL) this.#end('cancelled');
    else if (this.state === 'ASKED' && step === STEPS.SHARE) {
      if (!this.#takeShare(payload)) return;
      this.io.setTries(this.io.tries() + 1); // stored before Ta leaves
      this.#send(STEPS.CONFIRM, this.keys.ta);
      this.state = 'CONFIRMING';
    } else if (this.state === 'ANSWERED' && step === STEPS.CONFIRM) {
      if (equal(payload, this.keys.ta)) {
        this.io.verified(); // stored before Tb leaves
        this.#send(STEPS.CONFIRM, this.keys.tb);
        this.#end('same');
      } else {
        this.io.setTries(this.io.tries() + 1);
        this.#send(STEPS.DIFFER);
        this.#end('different');
      }
    } else if (this.state === 'CONFIRMING' && step === STEPS.CONFIRM) {
      if (equal(payload, this.keys.tb)) {
        this.io.verified();
        this.#end('same');
      } else this.#end('different');
    } else if (this.state === 'CONFIRMING' && step === STEPS.DIFFER) this.#end('different');
    else this.#odd('disturbed');
  }
}
