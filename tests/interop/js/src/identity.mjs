// Peer ids, certificates, links, safety numbers, revocations, successions (protocol.md 3).

import {
  concat, equal, readU16, readU32, readU64, text, u16, u32, u64, u8, utf8,
} from './bytes.mjs';
import { LIMITS, Refusal } from './errors.mjs';
import { edPublic, edSign, edVerify, random, sha256, sha512, x25519Public } from './primitives.mjs';

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';
const CERTIFICATE_LABEL = utf8('p2pchat/1 static key certificate\x00');

function base32(bytes) {
  let bits = 0n;
  for (const byte of bytes) bits = (bits << 8n) | BigInt(byte);
  const length = (bytes.length * 8) / 5;
  return Array.from({ length }, (_, i) =>
    BASE32[Number((bits >> BigInt(5 * (length - 1 - i))) & 31n)]).join('');
}

function unbase32(digits) {
  let bits = 0n;
  for (const digit of digits) {
    const value = BASE32.indexOf(digit);
    if (value < 0) throw new TypeError('a peer id has lower-case base32 characters only');
    bits = (bits << 5n) | BigInt(value);
  }
  const out = new Uint8Array((digits.length * 5) / 8);
  for (let i = out.length - 1; i >= 0; i -= 1, bits >>= 8n) out[i] = Number(bits & 255n);
  return out;
}

const idChecksum = (identity) => sha256(utf8('p2pchat/1 peer id'), identity).slice(0, 3);

/** 56 characters. */
export const peerId = (identity) => base32(concat(identity, idChecksum(identity)));

/** The identity key behind a peer id. */
export function parsePeerId(id) {
  if (id.length !== 56) throw new TypeError('a peer id has 56 characters');
  const bytes = unbase32(id);
  const identity = bytes.slice(0, 32);
  if (!equal(bytes.slice(32), idChecksum(identity))) throw new TypeError('wrong checksum');
  return identity;
}

/** A new identity with its first static key and certificate. */
export function newIdentity(now = Date.now()) {
  const seed = random(32);
  const priv = random(32);
  return { seed, staticPriv: priv, certificate: issueCertificate(seed, x25519Public(priv), 0, now) };
}

export function issueCertificate(seed, staticPub, generation, now) {
  const body = concat(
    u8(1), edPublic(seed), staticPub, u32(generation), u64(now),
    u64(now + LIMITS.certificateLifetimeMs),
  );
  return concat(body, edSign(seed, concat(CERTIFICATE_LABEL, body)));
}

/** Reads and checks a certificate. */
export function parseCertificate(bytes, now) {
  const refuse = (reason) => {
    throw new Refusal('CERTIFICATE_INVALID', reason);
  };
  if (bytes.length !== 149 || bytes[0] !== 1) refuse('no certificate of format 1');
  const identity = bytes.slice(1, 33);
  const notBefore = readU64(bytes, 69);
  const notAfter = readU64(bytes, 77);
  if (!edVerify(identity, concat(CERTIFICATE_LABEL, bytes.slice(0, 85)), bytes.slice(85))) {
    refuse('its signature is wrong');
  }
  if (notAfter <= notBefore) refuse('it ends before it begins');
  const t = BigInt(now);
  const skew = BigInt(LIMITS.clockSkewMs);
  if (t < notBefore - skew || t > notAfter + skew) refuse('it is not valid at this time');
  return { identity, staticPub: bytes.slice(33, 65), generation: readU32(bytes, 65) };
}

const REVOCATION_LABEL = utf8('p2pchat/1 revocation\0');

export function issueRevocation(seed) {
  const body = concat(u8(1), edPublic(seed));
  return concat(body, edSign(seed, concat(REVOCATION_LABEL, body)));
}

/** The identity that a revocation ends. */
export function readRevocation(bytes) {
  const identity = bytes.slice(1, 33);
  if (bytes.length !== 97 || bytes[0] !== 1
      || !edVerify(identity, concat(REVOCATION_LABEL, bytes.slice(0, 33)), bytes.slice(33))) {
    throw new Refusal('PROTOCOL_VIOLATION', 'a revocation that is not true');
  }
  return identity;
}

const revocationChecksum = (bytes) => sha256(utf8('p2pchat/1 revocation text'), bytes).slice(0, 4);

/** */
export const revocationText = (bytes) =>
  `p2pchat-revocation:${Buffer.from(concat(bytes, revocationChecksum(bytes))).toString('base64url')}`;

export function parseRevocationText(text_) {
  const digits = /^p2pchat-revocation:([A-Za-z0-9_-]+)$/.exec(text_.trim())?.[1];
  if (digits === undefined) throw new TypeError('no revocation: characters');
  const bytes = Uint8Array.from(Buffer.from(digits, 'base64url'));
  const revocation = bytes.slice(0, -4);
  if (Buffer.from(bytes).toString('base64url') !== digits
      || !equal(bytes.slice(-4), revocationChecksum(revocation))) {
    throw new TypeError('no revocation: not canonical, or a wrong checksum');
  }
  readRevocation(revocation);
  return revocation;
}

const successionParty = (by, body) => concat(utf8(`p2pchat/1 succession, by the ${by} key\0`), body);

export function issueSuccession(oldSeed, newSeed, at) {
  const body = concat(u8(1), edPublic(oldSeed), edPublic(newSeed), u64(at));
  return concat(
    body, edSign(oldSeed, successionParty('old', body)), edSign(newSeed, successionParty('new', body)),
  );
}

/** The old and the new identity of a succession. */
export function readSuccession(bytes) {
  const body = bytes.slice(0, 73);
  const [old, successor] = [bytes.slice(1, 33), bytes.slice(33, 65)];
  if (
    bytes.length !== 201 || bytes[0] !== 1 || equal(old, successor)
    || !edVerify(old, successionParty('old', body), bytes.slice(73, 137))
    || !edVerify(successor, successionParty('new', body), bytes.slice(137))
  ) throw new Refusal('PROTOCOL_VIOLATION', 'a succession that is not true');
  return { old, successor };
}

const linkChecksum = (bytes) => sha256(utf8('p2pchat/1 contact link'), bytes).slice(0, 4);

/** `p2pchat:` and the payload of 3.4. */
export function writeLink({ identity, name, addresses = [] }) {
  const nameBytes = utf8(name);
  const body = concat(
    u8(1), identity, u8(nameBytes.length), nameBytes, u8(addresses.length),
    ...addresses.flatMap((address) => [u16(address.length), utf8(address)]),
  );
  return `p2pchat:${Buffer.from(concat(body, linkChecksum(body))).toString('base64url')}`;
}

const ADDRESS = /^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]{1,255}):([0-9]{1,5})$/;
// Controls, format characters (bidirectional and invisible ones among them), unassigned, private.
const EMOJI_JOINER = /(\p{Emoji}[\p{Emoji_Modifier}\ufe0f]?)\u200d(?=\p{Emoji})/gu;
const HOSTILE_NAME = /[\p{Cc}\p{Cf}\p{Cn}\p{Co}\p{Zl}\p{Zp}]/u;

/** Reads a contact link. */
export function parseLink(link) {
  const trimmed = link.trim();
  const refuse = (reason) => {
    throw new TypeError(`no contact link: ${reason}`);
  };
  if (trimmed.length > 4096) refuse('too long');
  const digits = /^p2pchat:([A-Za-z0-9_-]+)$/.exec(trimmed)?.[1] ?? refuse('characters');
  const bytes = Uint8Array.from(Buffer.from(digits, 'base64url'));
  if (Buffer.from(bytes).toString('base64url') !== digits) refuse('not canonical');
  let at = 0;
  const take = (length) => {
    if (at + length > bytes.length - 4) refuse('it ends too early');
    at += length;
    return bytes.slice(at - length, at);
  };
  const body = bytes.slice(0, -4);
  if (bytes.length < 5 || !equal(bytes.slice(-4), linkChecksum(body))) refuse('wrong checksum');
  if (take(1)[0] !== 1) refuse('unknown format');
  const identity = take(32);
  const [nameLength] = take(1);
  if (nameLength < 1 || nameLength > 64) refuse('the name\'s length');
  const name = text(take(nameLength));
  if (HOSTILE_NAME.test(name.replace(EMOJI_JOINER, '$1')) || name !== name.trim()) refuse('the name');
  const [count] = take(1);
  if (count > 8) refuse('too many addresses');
  const addresses = Array.from({ length: count }, () => {
    const length = readU16(take(2));
    const address = length <= 262 ? text(take(length)) : refuse('an address');
    const match = ADDRESS.exec(address) ?? refuse('an address');
    if (Number(match[2]) < 1 || Number(match[2]) > 65535) refuse('a port');
    return address;
  });
  if (at !== body.length) refuse('bytes after its end');
  return { identity, name, addresses };
}

function fingerprint(id, key) {
  let d = sha512(Uint8Array.of(0, 0), key, id, key);
  for (let i = 1; i < 5200; i += 1) d = sha512(d, key);
  return Array.from({ length: 6 }, (_, i) => {
    const chunk = d.slice(5 * i, 5 * i + 5).reduce((sum, byte) => sum * 256 + byte, 0);
    return String(chunk % 100000).padStart(5, '0');
  }).join('');
}

/** 60 digits for two sides, each `{ id, key }`; for p2pchat both are the identity. */
export function safetyDigits(one, other) {
  return [fingerprint(one.id, one.key), fingerprint(other.id, other.key)].sort().join('');
}

/** The safety number in groups of five. */
export const safetyNumber = (a, b) =>
  safetyDigits({ id: a, key: a }, { id: b, key: b }).match(/.{5}/g).join(' ');
