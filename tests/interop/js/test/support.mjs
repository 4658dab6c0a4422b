// What the tests share: vectors, and two connections in one process, without sockets.

import { readFileSync } from 'node:fs';
import { concat, readU16, u16 } from '../src/bytes.mjs';
import { Connection } from '../src/connection.mjs';
import { Profile } from '../src/profile.mjs';

/** A JSON file of the repository's tests/vectors. */
export const vector = (path) =>
  JSON.parse(readFileSync(new URL(`../../../vectors/${path}`, import.meta.url), 'utf8'));

export const LOST = Symbol('lost on the way');

/** A preamble and single frames, so that a test can take hold of each. */
function* pieces(bytes) {
  let rest = bytes;
  while (rest.length > 0) {
    const length = rest[0] === 0x70 ? 12 + readU16(rest, 10) : 2 + readU16(rest);
    yield rest.slice(0, length);
    rest = rest.slice(length);
  }
}

/** One side with its outgoing bytes queued, so that a test decides when and what arrives. */
export class Side {
  constructor(profile, options = {}) {
    this.profile = profile;
    this.events = [];
    this.out = [];
    this.ended = false;
    this.clock = options.clock ?? Date.now;
    const io = {
      write: (bytes) => this.out.push(...pieces(bytes)),
      end: () => { this.ended = true; },
      emit: (event) => this.events.push(event),
    };
    this.connection = new Connection({ profile, io, now: () => this.clock(), ...options });
  }

  names(name) {
    return this.events.filter(({ event }) => event === name);
  }

  last(name) {
    return this.names(name).at(-1);
  }
}

/** Delivers everything until nobody speaks; `change` may alter or drop bytes. */
export function pump(a, b, change = (bytes) => bytes) {
  while (a.out.length > 0 || b.out.length > 0) {
    for (const [from, to] of [[a, b], [b, a]]) {
      for (const bytes of from.out.splice(0)) {
        const arriving = change(bytes, from);
        if (arriving !== LOST) to.connection.receive(arriving);
      }
    }
  }
}

export const people = () => [Profile.create('Alice'), Profile.create('Bob')];

/** A connection from one profile to another, run until both are quiet. */
export function meet(alice, bob, { dial = {}, listen = {}, change } = {}) {
  const a = new Side(alice, { initiator: true, expected: bob.identity, ...dial });
  const b = new Side(bob, { initiator: false, ...listen });
  a.connection.start();
  pump(a, b, change);
  return [a, b];
}

/** A frame of `from` that its connection would not send by itself. */
export function inject(from, to, kind, body) {
  for (const message of from.connection.sender.frame(kind, body, from.clock())) {
    to.connection.receive(concat(u16(message.length), message));
  }
}
