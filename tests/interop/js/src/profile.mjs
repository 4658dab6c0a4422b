// A peer's identity, contacts and sessions, stored as one JSON file.
//
// The file holds private keys as they are: this peer exists for interoperability tests. (R-2.1.1
// asks for an encrypted store, which is the business of a program for people.)

import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { equal } from './bytes.mjs';
import { LIMITS } from './errors.mjs';
import { issueCertificate, newIdentity, parseCertificate, peerId, writeLink } from './identity.mjs';
import { dhKeyPair, x25519Public } from './primitives.mjs';
import { newContact } from './session.mjs';

const toJson = (value) => {
  if (value instanceof Uint8Array) return { $b: Buffer.from(value).toString('base64') };
  if (typeof value === 'bigint') return { $int: String(value) };
  if (Array.isArray(value)) return value.map(toJson);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, toJson(inner)]));
  }
  return value;
};

const fromJson = (key, value) => {
  if (value?.$b !== undefined) return Uint8Array.from(Buffer.from(value.$b, 'base64'));
  if (value?.$int !== undefined) return BigInt(value.$int);
  return value;
};

export class Profile {
  constructor(data, path = null) {
    this.data = data;
    this.path = path;
    this.identity = parseCertificate(data.certificate, Date.now()).identity;
  }

  get staticKey() {
    return { priv: this.data.staticPriv, pub: x25519Public(this.data.staticPriv) };
  }

  /** A new static key; the old one answers for 14 days more. Saved when it returns. */
  rotate(now = Date.now()) {
    const { data } = this;
    const { generation } = parseCertificate(data.certificate, now);
    const { priv, pub } = dhKeyPair();
    const { staticPriv, certificate } = data;
    data.previous = { staticPriv, certificate, until: now + LIMITS.staticOverlapMs };
    Object.assign(data, {
      staticPriv: priv, certificate: issueCertificate(data.seed, pub, generation + 1, now),
    });
    this.save();
  }

  /** The static key before this one while it is kept, with its certificate, or null. */
  previousKey(now) {
    const { previous } = this.data;
    if (!previous) return null;
    if (now >= previous.until) {
      delete this.data.previous;
      this.save();
      return null;
    }
    const { staticPriv: priv, certificate } = previous;
    return { key: { priv, pub: x25519Public(priv) }, certificate };
  }

  /** Whether a static public key is ours, the previous one included. */
  ownStatic(pub) {
    const { staticPriv, previous } = this.data;
    return [staticPriv, previous?.staticPriv].some((priv) => priv && equal(x25519Public(priv), pub));
  }

  /** The revocation of our own identity, if it has one. */
  get revocation() {
    return this.data.revocation ?? null;
  }

  set revocation(bytes) {
    this.data.revocation = bytes;
  }

  static create(name, path = null) {
    const profile = new Profile({ name, ...newIdentity(), contacts: {} }, path);
    profile.save();
    return profile;
  }

  /** The profile stored at `path`, or a new one. */
  static open(path, name) {
    if (path === null || !existsSync(path)) return Profile.create(name, path);
    return new Profile(JSON.parse(readFileSync(path, 'utf8'), fromJson), path);
  }

  get name() {
    return this.data.name;
  }

  get certificate() {
    return this.data.certificate;
  }

  get peerId() {
    return peerId(this.identity);
  }

  link(addresses) {
    return writeLink({ identity: this.identity, name: this.name, addresses });
  }

  contact(identity) {
    const key = peerId(identity);
    this.data.contacts[key] ??= newContact(identity);
    return this.data.contacts[key];
  }

  known(identity) {
    return this.data.contacts[peerId(identity)] ?? null;
  }

  /** Durable when it returns (8.2): the old file or the new one survives a crash, whole. */
  save() {
    if (this.path === null) return;
    const temporary = `${this.path}.new`;
    const file = openSync(temporary, 'w', 0o600);
    writeSync(file, JSON.stringify(toJson(this.data)));
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, this.path);
    const folder = openSync(dirname(this.path), 'r');
    fsyncSync(folder);
    closeSync(folder);
  }
}
