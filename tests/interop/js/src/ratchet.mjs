// The Double Ratchet with header encryption and hybrid steps (protocol.md 6).
//
// State is a plain object of byte strings, numbers and arrays. Encrypting and decrypting work on a
// copy, which replaces the state only when everything proved right.

import { EMPTY, concat, readU32, u32, u8, utf8, isZero } from './bytes.mjs';
import { LIMITS } from './errors.mjs';
import {
  KEM, dh, dhKeyPair, hkdf, hmac, kemDecapsulate, kemEncapsulate, kemKeyIsValid, kemKeyPair,
  open, random, seal, sha256,
} from './primitives.mjs';

const HEADER = 1225;
const PREFIX = 1254;
const MAX_SKIP = 1000;
const MAX_STORED = 2000;
const MAX_CHAINS = 5;
const MAX_MESSAGES = 1000;
const LAST_N = 2 ** 32 - 1;
export const KEM_INTERVAL_MESSAGES = 50;
export const KEM_INTERVAL_MS = 3_600_000;

export const FLAGS = Object.freeze({ none: 0, offer: 1, answer: 2 });

/** The seed of a session. */
export function seedKeys(ck, h) {
  const out = hkdf(ck, EMPTY, concat(utf8('p2pchat/1 ratchet seed'), h), 112);
  return {
    rootKey: out.slice(0, 32),
    headerKeyInitiator: out.slice(32, 64),
    nextHeaderKey: out.slice(64, 96),
    sessionId: out.slice(96),
  };
}

/** The root step, classical or hybrid. */
export function rootStep(rk, shared, exchange) {
  const out = exchange
    ? hkdf(
      rk,
      concat(shared, exchange.ss),
      concat(utf8('p2pchat/1 ratchet root hybrid'), sha256(exchange.ek, exchange.ct)),
      96,
    )
    : hkdf(rk, shared, utf8('p2pchat/1 ratchet root'), 96);
  return [out.slice(0, 32), out.slice(32, 64), out.slice(64)];
}

export const chainStep = (ck) => ({ mk: hmac(ck, u8(1)), next: hmac(ck, u8(2)) });

function baseState(initiator, seed, ad, now) {
  return {
    initiator,
    ad,
    RK: seed.rootKey,
    DHs: null,
    DHr: null,
    sending: null, // { ck, hk, n }
    receiving: null, // { ck, hk, n }
    NHKs: initiator ? seed.headerKeyInitiator : seed.nextHeaderKey,
    NHKr: initiator ? seed.nextHeaderKey : seed.headerKeyInitiator,
    PN: 0,
    C: 0,
    R: 0,
    skipped: [], // { c, hk, n, mk, r }, oldest first
    kem: { steps: 0, messages: 0, lastAt: now, offered: null, owed: null, answered: null },
  };
}

const copyOf = (state) => ({
  ...state,
  sending: state.sending && { ...state.sending },
  receiving: state.receiving && { ...state.receiving },
  skipped: state.skipped.slice(),
  kem: { ...state.kem },
});

/** What a header's KEM field and flags say for the current sending chain. */
function kemField(kem) {
  if (kem.offered) return [FLAGS.offer, kem.offered.ek];
  if (kem.answered) return [FLAGS.answer, concat(kem.answered.ct, new Uint8Array(96))];
  return [FLAGS.none, new Uint8Array(KEM.ek)];
}

function parseHeader(header) {
  const flags = header[0];
  const field = header.subarray(41);
  if (flags > 2) throw new Error('unknown flags in the header');
  if (flags === FLAGS.none && !isZero(field)) throw new Error('a KEM field without a purpose');
  if (flags === FLAGS.answer && !isZero(field.subarray(KEM.ct))) {
    throw new Error('bytes after the ciphertext');
  }
  const n = readU32(header, 37);
  if (n === LAST_N) throw new Error('a message number that no chain has');
  return {
    flags,
    dh: header.slice(1, 33),
    pn: readU32(header, 33),
    n,
    kem: flags === FLAGS.answer ? field.slice(0, KEM.ct) : field.slice(),
  };
}

export class Ratchet {
  /**
   * @param state from `initiator`, `responder` or a store
   * @param draw gives random bytes; `now` gives Unix milliseconds
   */
  constructor(state, { draw = random, now = Date.now } = {}) {
    this.state = state;
    this.draw = draw;
    this.now = now;
  }

  static initiator({ seed, ad, responderKey }, env = {}) {
    const ratchet = new Ratchet(null, env);
    ratchet.state = baseState(true, seed, ad, ratchet.now());
    ratchet.state.DHr = responderKey;
    ratchet.#beginChain(ratchet.state, { first: true });
    return ratchet;
  }

  static responder({ seed, ad, pair }, env = {}) {
    const ratchet = new Ratchet(null, env);
    ratchet.state = baseState(false, seed, ad, ratchet.now());
    ratchet.state.DHs = pair;
    return ratchet;
  }

  /** A responder cannot send before it has read a first message. */
  get canSend() {
    return this.state.sending !== null || this.state.DHr !== null;
  }

  #ourTurn(state) {
    return (state.kem.steps % 2 === 0) === state.initiator;
  }

  #due(state) {
    const { messages, lastAt } = state.kem;
    return messages >= KEM_INTERVAL_MESSAGES || this.now() - lastAt >= KEM_INTERVAL_MS;
  }

  #completeStep(state) {
    state.kem.steps += 1;
    state.kem.messages = 0;
    state.kem.lastAt = this.now();
  }

  #beginChain(state, { first = false } = {}) {
    state.DHs = dhKeyPair(this.draw(32));
    let exchange = null;
    state.kem.answered = null;
    if (state.kem.owed) {
      const ek = state.kem.owed;
      const { ct, ss } = kemEncapsulate(ek, this.draw(32));
      exchange = { ss, ek, ct };
      state.kem.owed = null;
      state.kem.answered = { ct };
      this.#completeStep(state);
    } else if (!first && this.#ourTurn(state) && this.#due(state)) {
      const { seed, ek } = kemKeyPair(this.draw(KEM.seed));
      state.kem.offered = { seed, ek };
    }
    const hk = state.NHKs;
    const [rk, ck, next] = rootStep(state.RK, dh(state.DHs.priv, state.DHr), exchange);
    Object.assign(state, { RK: rk, NHKs: next, sending: { ck, hk, n: 0 } });
  }

  encrypt(plaintext) {
    if (!this.canSend) throw new Error('the responder waits for a first message');
    const state = copyOf(this.state);
    if (!state.sending) this.#beginChain(state);
    const { sending, kem } = state;
    if (sending.n >= LAST_N) throw new Error('the chain is used up');
    const { mk, next } = chainStep(sending.ck);
    const [flags, field] = kemField(kem);
    const header = concat(u8(flags), state.DHs.pub, u32(state.PN), u32(sending.n), field);
    sending.ck = next;
    sending.n += 1;
    kem.messages += 1;
    const nonce = this.draw(12);
    const prefix = concat(u8(1), nonce, seal(sending.hk, nonce, state.ad, header));
    const envelope = concat(prefix, seal(mk, nonce, concat(state.ad, prefix), plaintext));
    this.state = state;
    return envelope;
  }

  /** The plaintext; throws, with the state as it was, if the envelope is refused. */
  decrypt(envelope) {
    if (envelope.length < LIMITS.envelopeMin || envelope.length > LIMITS.envelopeMax) {
      throw new Error('an envelope of this length does not exist');
    }
    if (envelope[0] !== 1) throw new Error('unknown envelope version');
    const state = copyOf(this.state);
    const nonce = envelope.subarray(1, 13);
    const prefix = envelope.subarray(0, PREFIX);
    const tryHeader = (hk) => {
      try {
        return open(hk, nonce, state.ad, envelope.subarray(13, PREFIX));
      } catch {
        return null;
      }
    };
    const mk = this.#messageKey(state, tryHeader);
    const body = open(mk, nonce, concat(state.ad, prefix), envelope.subarray(PREFIX));
    state.R += 1;
    state.kem.messages += 1;
    state.skipped = state.skipped.filter(
      ({ c, r }) => state.C - c < MAX_CHAINS && state.R - r < MAX_MESSAGES,
    );
    this.state = state;
    return body;
  }

  #messageKey(state, tryHeader) {
    let opened = state.DHs && tryHeader(state.NHKr);
    if (opened) {
      const header = parseHeader(opened);
      this.#dhStep(state, header);
      return this.#nextMessage(state, header);
    }
    opened = state.receiving && tryHeader(state.receiving.hk);
    if (opened) {
      const header = parseHeader(opened);
      return header.n < state.receiving.n
        ? this.#skippedMessage(state, state.C, header)
        : this.#nextMessage(state, header);
    }
    const older = new Map(
      state.skipped.filter(({ c }) => c !== state.C).map(({ c, hk }) => [c, hk]),
    );
    for (const [c, hk] of older) {
      opened = tryHeader(hk);
      if (opened) return this.#skippedMessage(state, c, parseHeader(opened));
    }
    throw new Error('no header key opens the envelope');
  }

  #dhStep(state, header) {
    if (header.n > MAX_SKIP) throw new Error('too many messages skipped');
    const exchange = this.#receiveKem(state, header);
    if (state.receiving) this.#skip(state, header.pn);
    state.C += 1;
    state.DHr = header.dh;
    const hk = state.NHKr;
    const [rk, ck, next] = rootStep(state.RK, dh(state.DHs.priv, state.DHr), exchange);
    Object.assign(state, { RK: rk, NHKr: next, receiving: { ck, hk, n: 0 } });
    state.PN = state.sending ? state.sending.n : 0;
    state.DHs = null;
    state.sending = null;
  }

  /** The table of 6.7: what the header that begins a chain means for the hybrid schedule. */
  #receiveKem(state, header) {
    const { kem } = state;
    kem.answered = null;
    if (kem.offered) {
      if (header.flags !== FLAGS.answer) throw new Error('the offer was not answered');
      const { seed, ek } = kem.offered;
      const ss = kemDecapsulate(kemKeyPair(seed).dk, header.kem);
      kem.offered = null;
      this.#completeStep(state);
      return { ss, ek, ct: header.kem };
    }
    if (header.flags === FLAGS.answer) throw new Error('an answer to no offer');
    if (header.flags === FLAGS.offer) {
      if (this.#ourTurn(state)) throw new Error('an offer out of turn');
      if (!kemKeyIsValid(header.kem)) throw new Error('the encapsulation key is out of range');
      kem.owed = header.kem;
    }
    return null;
  }

  #skip(state, until) {
    const chain = state.receiving;
    if (until - chain.n > MAX_SKIP) throw new Error('too many messages skipped');
    while (chain.n < until) {
      const { mk, next } = chainStep(chain.ck);
      state.skipped.push({ c: state.C, hk: chain.hk, n: chain.n, mk, r: state.R + 1 });
      chain.ck = next;
      chain.n += 1;
    }
    // Entries are in order of chain and number, so the oldest stand in front.
    if (state.skipped.length > MAX_STORED) {
      state.skipped.splice(0, state.skipped.length - MAX_STORED);
    }
  }

  #nextMessage(state, header) {
    this.#skip(state, header.n);
    const { mk, next } = chainStep(state.receiving.ck);
    state.receiving.ck = next;
    state.receiving.n += 1;
    return mk;
  }

  #skippedMessage(state, c, header) {
    const index = state.skipped.findIndex((entry) => entry.c === c && entry.n === header.n);
    if (index < 0) throw new Error('the message was decrypted before, or its key has expired');
    const [{ mk }] = state.skipped.splice(index, 1);
    return mk;
  }
}
