// The msgpack of protocol.md 9.1: strict on reading, ordinary on writing.
//
// The library writes. Reading is done here, because a general decoder forgives what to
// forbid: repeated keys, extension types, floats in place of integers.

import { encode as libraryEncode } from '@msgpack/msgpack';
import { Refusal } from './errors.mjs';
import { text as decodeText } from './bytes.mjs';

const MAX_DEPTH = 8;
const MAX_MAP = 32;
const MAX_ARRAY = 64;

export const encode = (value) => libraryEncode(value);

const refuse = (reason) => {
  throw new Refusal('PROTOCOL_VIOLATION', `msgpack: ${reason}`);
};

/** A float, which is no int. */
class Float {
  constructor(value) {
    this.value = value;
  }
}

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.at = 0;
  }

  take(length) {
    if (length > this.bytes.length - this.at) refuse('ends too early');
    this.at += length;
    return this.bytes.slice(this.at - length, this.at);
  }

  uint(size) {
    const bytes = this.take(size);
    return bytes.reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
  }

  int(size) {
    return BigInt.asIntN(8 * size, this.uint(size));
  }

  string(length) {
    try {
      return decodeText(this.take(length));
    } catch (error) {
      if (error instanceof Refusal) throw error;
      return refuse('text that is not UTF-8');
    }
  }

  float(size) {
    const { view, at } = this;
    this.take(size);
    return new Float(size === 4 ? view.getFloat32(at) : view.getFloat64(at));
  }

  array(length, depth) {
    if (length > MAX_ARRAY) refuse('an array that is too long');
    if (depth > MAX_DEPTH) refuse('nested too deep');
    return Array.from({ length }, () => this.value(depth));
  }

  map(length, depth) {
    if (length > MAX_MAP) refuse('a map that is too large');
    if (depth > MAX_DEPTH) refuse('nested too deep');
    const map = new Map();
    for (let i = 0; i < length; i += 1) {
      const key = this.value(depth);
      if (typeof key !== 'string') refuse('a key that is no string');
      if (map.has(key)) refuse('a repeated key');
      map.set(key, this.value(depth));
    }
    return map;
  }

  /** Integers come as BigInt; `depth` counts the containers around the value. */
  value(depth) {
    const [type] = this.take(1);
    if (type <= 0x7f) return BigInt(type);
    if (type <= 0x8f) return this.map(type & 0x0f, depth + 1);
    if (type <= 0x9f) return this.array(type & 0x0f, depth + 1);
    if (type <= 0xbf) return this.string(type & 0x1f);
    if (type >= 0xe0) return BigInt(type - 256);
    const length = (size) => Number(this.uint(size));
    switch (type) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: return this.take(length(1));
      case 0xc5: return this.take(length(2));
      case 0xc6: return this.take(length(4));
      case 0xca: return this.float(4);
      case 0xcb: return this.float(8);
      case 0xcc: return this.uint(1);
      case 0xcd: return this.uint(2);
      case 0xce: return this.uint(4);
      case 0xcf: return this.uint(8);
      case 0xd0: return this.int(1);
      case 0xd1: return this.int(2);
      case 0xd2: return this.int(4);
      case 0xd3: return this.int(8);
      case 0xd9: return this.string(length(1));
      case 0xda: return this.string(length(2));
      case 0xdb: return this.string(length(4));
      case 0xdc: return this.array(length(2), depth + 1);
      case 0xdd: return this.array(length(4), depth + 1);
      case 0xde: return this.map(length(2), depth + 1);
      case 0xdf: return this.map(length(4), depth + 1);
      default: return refuse('an extension type');
    }
  }
}

/** One map from `bytes`, at most `limit` long. */
export function decodeMap(bytes, limit) {
  if (bytes.length > limit) throw new Refusal('PROTOCOL_VIOLATION', 'a map that is too long');
  const reader = new Reader(bytes);
  const value = reader.value(0);
  if (!(value instanceof Map)) refuse('no map');
  if (reader.at !== bytes.length) refuse('bytes after the map');
  return value;
}

const isBytes = (length) => (value) => value instanceof Uint8Array && value.length === length;

/** Predicates for `fields`. */
export const kinds = Object.freeze({
  bool: (value) => typeof value === 'boolean',
  bytes: isBytes,
  bytesBetween: (min, max) => (value) =>
    value instanceof Uint8Array && value.length >= min && value.length <= max,
  anyBytes: (value) => value instanceof Uint8Array,
  text: (minBytes, maxBytes) => (value) =>
    typeof value === 'string'
    && Buffer.byteLength(value) >= minBytes && Buffer.byteLength(value) <= maxBytes,
  textChars: (min, max) => (value) =>
    typeof value === 'string' && [...value].length >= min && [...value].length <= max,
  int: (max) => (value) => typeof value === 'bigint' && value >= 0n && value <= max,
  map: (value) => value instanceof Map,
  arrayOf: (max, item) => (value) => Array.isArray(value) && value.length <= max && value.every(item),
  orNil: (kind) => (value) => value === null || kind(value),
});

/**
 * The named fields of a map as an object. A name that ends in "?" may be missing.
 */
export function fields(map, wanted) {
  const known = new Map(Object.entries(wanted).map(([name, kind]) => [name.replace('?', ''), {
    kind, optional: name.endsWith('?'),
  }]));
  for (const name of map.keys()) {
    if (!known.has(name) && name.startsWith('!')) refuse(`unknown critical field ${name}`);
  }
  const out = {};
  for (const [name, { kind, optional }] of known) {
    if (map.has(name)) {
      if (!kind(map.get(name))) refuse(`field ${name} has a wrong type or value`);
      out[name] = map.get(name);
    } else if (!optional) refuse(`field ${name} is missing`);
  }
  return out;
}
