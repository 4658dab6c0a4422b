// The Noise Protocol Framework, revision 34, with the hfs modifier (protocol.md 5.1, 5.2, 5.5).
//
// One object serves one handshake. A message that is refused leaves the state as it was.

import { EMPTY, concat, utf8 } from './bytes.mjs';
import {
  KEM, dh, dhKeyPair, hkdf, kemDecapsulate, kemEncapsulate, kemKeyIsValid, kemKeyPair,
  open, random, seal, sha256,
} from './primitives.mjs';

export const PATTERNS = Object.freeze({
  XX: { preS: false, messages: [['e'], ['e', 'ee', 's', 'es'], ['s', 'se']] },
  IK: { preS: true, messages: [['e', 'es', 's', 'ss'], ['e', 'ee', 'se']] },
  XXhfs: { preS: false, messages: [['e', 'e1'], ['e', 'ee', 'ekem1', 's', 'es'], ['s', 'se']] },
  IKhfs: { preS: true, messages: [['e', 'es', 'e1', 's', 'ss'], ['e', 'ee', 'ekem1', 'se']] },
});

const MAX_MESSAGE = 65535;
const REKEY_NONCE = 2n ** 64n - 1n;

/** 4 zero bytes, then the counter little-endian. */
export function noiseNonce(n) {
  const nonce = new Uint8Array(12);
  new DataView(nonce.buffer).setBigUint64(4, n, true);
  return nonce;
}

/** Noise's CipherState with a key. */
export class Cipher {
  constructor(key, n = 0n) {
    this.key = key;
    this.n = n;
  }

  encrypt(ad, plaintext) {
    if (this.n >= REKEY_NONCE) throw new Error('the nonces of this key are used up');
    const sealed = seal(this.key, noiseNonce(this.n), ad, plaintext);
    this.n += 1n;
    return sealed;
  }

  /** A ciphertext that does not authenticate does not advance the nonce. */
  decrypt(ad, sealed) {
    if (this.n >= REKEY_NONCE) throw new Error('the nonces of this key are used up');
    const plaintext = open(this.key, noiseNonce(this.n), ad, sealed);
    this.n += 1n;
    return plaintext;
  }

  /** Replaces the key and leaves the nonce. */
  rekey() {
    this.key = seal(this.key, noiseNonce(REKEY_NONCE), EMPTY, new Uint8Array(32)).slice(0, 32);
  }
}

class SymmetricState {
  constructor(name) {
    const bytes = utf8(name);
    this.h = bytes.length <= 32 ? concat(bytes, new Uint8Array(32 - bytes.length)) : sha256(bytes);
    this.ck = this.h;
    this.cipher = null;
  }

  clone() {
    const copy = Object.create(SymmetricState.prototype);
    copy.h = this.h;
    copy.ck = this.ck;
    copy.cipher = this.cipher && new Cipher(this.cipher.key, this.cipher.n);
    return copy;
  }

  mixHash(data) {
    this.h = sha256(this.h, data);
  }

  mixKey(ikm) {
    const out = hkdf(this.ck, ikm, EMPTY, 64);
    this.ck = out.slice(0, 32);
    this.cipher = new Cipher(out.slice(32));
  }

  get tag() {
    return this.cipher ? 16 : 0;
  }

  encryptAndHash(plaintext) {
    const out = this.cipher ? this.cipher.encrypt(this.h, plaintext) : plaintext;
    this.mixHash(out);
    return out;
  }

  decryptAndHash(data) {
    const out = this.cipher ? this.cipher.decrypt(this.h, data) : data;
    this.mixHash(data);
    return out;
  }

  split() {
    const out = hkdf(this.ck, EMPTY, EMPTY, 64);
    return [new Cipher(out.slice(0, 32)), new Cipher(out.slice(32))];
  }
}

/** Bytes of message `index` without its payload's bytes but with the payload's tag. */
export function fixedLength(pattern, index) {
  let keyed = false;
  let length = 0;
  for (const [i, tokens] of PATTERNS[pattern].messages.entries()) {
    length = 0;
    for (const token of tokens) {
      const tag = keyed ? 16 : 0;
      if (token === 'e') length += 32;
      else if (token === 's') length += 32 + tag;
      else if (token === 'e1') length += KEM.ek + tag;
      else if (token === 'ekem1') {
        length += KEM.ct + tag;
        keyed = true;
      } else keyed = true;
    }
    if (keyed) length += 16;
    if (i === index) return length;
  }
  throw new RangeError('the pattern has no such message');
}

/** One party of one handshake. `fixed` gives known secrets, for test vectors alone. */
export class Handshake {
  constructor({ pattern, initiator, prologue, s, rs = null, fixed = {} }) {
    this.pattern = pattern;
    this.initiator = initiator;
    this.s = s;
    this.rs = rs;
    this.re = null;
    this.e = null;
    this.kem = null;
    this.rek = null;
    this.fixed = fixed;
    this.next = 0;
    this.done = false;
    const hfs = pattern.endsWith('hfs');
    this.state = new SymmetricState(
      `Noise_${pattern}_25519${hfs ? '+MLKEM768' : ''}_ChaChaPoly_SHA256`,
    );
    this.state.mixHash(prologue);
    if (PATTERNS[pattern].preS) this.state.mixHash(initiator ? rs : s.pub);
  }

  get tokens() {
    return PATTERNS[this.pattern].messages[this.next];
  }

  get finished() {
    return this.next === PATTERNS[this.pattern].messages.length;
  }

  get h() {
    return this.state.h;
  }

  #turn(writing) {
    if (this.finished) throw new Error('the handshake is over');
    const initiators = this.next % 2 === 0;
    if ((initiators === this.initiator) !== writing) throw new Error('not this side\'s turn');
  }

  #transaction(body) {
    const { state, rs, re, e, kem, rek } = this;
    this.state = state.clone();
    try {
      const out = body(this.state);
      this.next += 1;
      return out;
    } catch (error) {
      Object.assign(this, { state, rs, re, e, kem, rek });
      throw error;
    }
  }

  #dh(token) {
    if (token === 'ee') return dh(this.e.priv, this.re);
    if (token === 'ss') return dh(this.s.priv, this.rs);
    // "es" is the initiator's e with the responder's s, whoever computes it.
    const own = (token === 'es') === this.initiator;
    return own ? dh(this.e.priv, this.rs) : dh(this.s.priv, this.re);
  }

  write(payload) {
    this.#turn(true);
    return this.#transaction((state) => {
      const parts = [];
      for (const token of this.tokens) {
        if (token === 'e') {
          this.e = dhKeyPair(this.fixed.e ?? random(32));
          parts.push(this.e.pub);
          state.mixHash(this.e.pub);
        } else if (token === 's') {
          parts.push(state.encryptAndHash(this.s.pub));
        } else if (token === 'e1') {
          this.kem = kemKeyPair(this.fixed.kemSeed ?? random(KEM.seed));
          parts.push(state.encryptAndHash(this.kem.ek));
        } else if (token === 'ekem1') {
          const { ct, ss } = kemEncapsulate(this.rek, this.fixed.encapsulation ?? random(32));
          parts.push(state.encryptAndHash(ct));
          state.mixKey(ss);
        } else {
          state.mixKey(this.#dh(token));
        }
      }
      parts.push(state.encryptAndHash(payload));
      const message = concat(...parts);
      if (message.length > MAX_MESSAGE) throw new Error('the message is too long');
      return message;
    });
  }

  read(message) {
    this.#turn(false);
    if (message.length > MAX_MESSAGE) throw new Error('the message is too long');
    if (message.length < fixedLength(this.pattern, this.next)) {
      throw new Error('the message is too short');
    }
    return this.#transaction((state) => {
      let at = 0;
      const take = (length) => message.subarray(at, (at += length));
      for (const token of this.tokens) {
        if (token === 'e') {
          this.re = take(32).slice();
          state.mixHash(this.re);
        } else if (token === 's') {
          this.rs = state.decryptAndHash(take(32 + state.tag)).slice();
        } else if (token === 'e1') {
          this.rek = state.decryptAndHash(take(KEM.ek + state.tag)).slice();
          if (!kemKeyIsValid(this.rek)) throw new Error('the encapsulation key is out of range');
        } else if (token === 'ekem1') {
          const ct = state.decryptAndHash(take(KEM.ct + state.tag));
          state.mixKey(kemDecapsulate(this.kem.dk, ct.slice()));
        } else {
          state.mixKey(this.#dh(token));
        }
      }
      return state.decryptAndHash(message.subarray(at));
    });
  }

  /** Transport ciphers, handshake hash and chaining key; everything else is dropped. */
  split() {
    if (!this.finished || this.done) throw new Error('nothing to split');
    this.done = true;
    const [first, second] = this.state.split();
    const { h, ck } = this.state;
    Object.assign(this, { state: null, e: null, kem: null, rek: null });
    return this.initiator
      ? { send: first, receive: second, h, ck }
      : { send: second, receive: first, h, ck };
  }
}
