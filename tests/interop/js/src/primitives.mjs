// The primitives of protocol.md 2, over the noble libraries.

import { randomBytes } from 'node:crypto';
import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { ed25519, x25519 } from '@noble/curves/ed25519.js';
import { hkdf as nobleHkdf } from '@noble/hashes/hkdf.js';
import { hmac as nobleHmac } from '@noble/hashes/hmac.js';
import { sha256 as nobleSha256, sha512 as nobleSha512 } from '@noble/hashes/sha2.js';
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js';
import { concat, isZero } from './bytes.mjs';

/** Random bytes of the operating system, as a plain Uint8Array. */
export const random = (length) => Uint8Array.from(randomBytes(length));

export const sha256 = (...parts) => nobleSha256(concat(...parts));
export const sha512 = (...parts) => nobleSha512(concat(...parts));
export const hmac = (key, data) => nobleHmac(nobleSha256, key, data);
export const hmacSha512 = (key, data) => nobleHmac(nobleSha512, key, data);
export const hkdf = (salt, ikm, info, length) => nobleHkdf(nobleSha256, ikm, salt, info, length);

export const x25519Public = (priv) => x25519.getPublicKey(priv);

/** A public key whose Diffie-Hellman results are zero. */
export class LowOrderError extends Error {}

/** X25519; throws LowOrderError on a result of 32 zero bytes. */
export function dh(priv, pub) {
  let shared;
  try {
    shared = x25519.getSharedSecret(priv, pub); // the library refuses a result of zero as well
  } catch (error) {
    throw new LowOrderError(error.message, { cause: error });
  }
  if (isZero(shared)) throw new LowOrderError('the Diffie-Hellman result is zero');
  return shared;
}

export function dhKeyPair(priv = random(32)) {
  return { priv, pub: x25519Public(priv) };
}

export const edPublic = (seed) => ed25519.getPublicKey(seed);
export const edSign = (seed, message) => ed25519.sign(message, seed);

/** Strict RFC 8032 verification: canonical S and points, no small-order key. */
export function edVerify(pub, message, signature) {
  try {
    return ed25519.verify(signature, message, pub, { zip215: false });
  } catch {
    return false; // malformed lengths and points: not a signature
  }
}

/** ChaCha20-Poly1305: ciphertext followed by the tag. */
export const seal = (key, nonce, ad, plaintext) =>
  chacha20poly1305(key, nonce, ad).encrypt(plaintext);

/** The plaintext; throws if the tag is wrong. */
export const open = (key, nonce, ad, sealed) => chacha20poly1305(key, nonce, ad).decrypt(sealed);

export const KEM = Object.freeze({ seed: 64, ek: 1184, ct: 1088, ss: 32 });

/** An ML-KEM-768 key pair from its 64-byte seed d ‖ z. */
export function kemKeyPair(seed = random(KEM.seed)) {
  const { publicKey, secretKey } = ml_kem768.keygen(seed);
  return { seed, ek: publicKey, dk: secretKey };
}

/** The modulus check of FIPS 203 7.2: each of the 768 12-bit coefficients is below 3329. */
export function kemKeyIsValid(ek) {
  if (ek.length !== KEM.ek) return false;
  for (let at = 0; at < 1152; at += 3) {
    const first = ek[at] | ((ek[at + 1] & 0x0f) << 8);
    const second = (ek[at + 1] >> 4) | (ek[at + 2] << 4);
    if (first >= 3329 || second >= 3329) return false;
  }
  return true;
}

export function kemEncapsulate(ek, randomness = random(32)) {
  const { cipherText, sharedSecret } = ml_kem768.encapsulate(ek, randomness);
  return { ct: cipherText, ss: sharedSecret };
}

export const kemDecapsulate = (dk, ct) => ml_kem768.decapsulate(ct, dk);
