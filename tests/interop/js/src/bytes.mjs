// Byte helpers. Every integer of the protocol is unsigned and big-endian (protocol.md 1.2).

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export const EMPTY = new Uint8Array(0);

/** Text to UTF-8 (the protocol's labels are ASCII). */
export const utf8 = (text) => encoder.encode(text);

/** UTF-8 to text; throws on bytes that are not UTF-8. */
export const text = (bytes) => decoder.decode(bytes);

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export const u8 = (value) => Uint8Array.of(value);

export const u16 = (value) => Uint8Array.of(value >>> 8, value & 0xff);

export function u32(value) {
  const out = new Uint8Array(4);
  new DataView(out.buffer).setUint32(0, value);
  return out;
}

export function u64(value) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

export const readU16 = (bytes, at = 0) => view(bytes).getUint16(at);
export const readU32 = (bytes, at = 0) => view(bytes).getUint32(at);

/** A u64 as a BigInt: indexes and times may in principle exceed 2^53. */
export const readU64 = (bytes, at = 0) => view(bytes).getBigUint64(at);

export function equal(a, b) {
  if (a.length !== b.length) return false;
  let different = 0;
  for (let i = 0; i < a.length; i += 1) different |= a[i] ^ b[i];
  return different === 0;
}

/** Order of byte strings: negative, zero or positive. */
export const compare = (a, b) => Buffer.compare(a, b);

export const isZero = (bytes) => bytes.every((byte) => byte === 0);

export const hex = (bytes) => Buffer.from(bytes).toString('hex');

export function unhex(digits) {
  if (!/^([0-9a-f]{2})*$/.test(digits)) throw new TypeError('not lower-case hexadecimal');
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}
