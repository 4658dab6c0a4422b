// protocol.md 4 to 8: two connections in one process, without sockets.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { EMPTY, concat, equal, hex, readU16, u16, u64, u8, unhex } from '../src/bytes.mjs';
import { Connection, padPayload, unpadPayload } from '../src/connection.mjs';
import { issueCertificate } from '../src/identity.mjs';
import { Cipher, Handshake } from '../src/noise.mjs';
import { SUITES, suitesOf, writeOffer, writePreamble } from '../src/negotiation.mjs';
import { dhKeyPair, random, x25519Public } from '../src/primitives.mjs';
import { Profile } from '../src/profile.mjs';
import { queueText, writeHello } from '../src/session.mjs';
import { KINDS, Receiver, Sender, pad, unpad } from '../src/transport.mjs';
import { Side, meet, people, pump } from './support.mjs';

function assertOpen(a, b, suite, resumed) {
  for (const side of [a, b]) {
    assert.equal(side.last('authenticated')?.suite, suite, JSON.stringify(side.events));
    assert.equal(side.last('session').resumed, resumed);
    assert.equal(side.connection.state, 'OPEN');
  }
}

function chat(a, b, count) {
  for (let i = 0; i < count; i += 1) {
    a.connection.sendText(`a${i}`);
    pump(a, b);
    b.connection.sendText(`b${i}`);
    pump(a, b);
  }
  for (const [side, prefix] of [[a, 'b'], [b, 'a']]) {
    const texts = side.names('received').map(({ text }) => text);
    assert.deepEqual(texts, Array.from({ length: count }, (_, i) => `${prefix}${i}`));
    assert.equal(side.names('delivered').length, count);
    assert.equal(side.connection.contact.outbox.length, 0);
  }
}

for (const [first, again, offer] of [['XX', 'IK', 'classical'], ['XXhfs', 'IKhfs', 'all']]) {
  test(`${first}, then ${again} resumes`, () => {
    const [alice, bob] = people();
    const options = { dial: { offer }, listen: { offer } };
    const [a, b] = meet(alice, bob, options);
    assertOpen(a, b, first, false);
    chat(a, b, 5);
    const [c, d] = meet(alice, bob, options);
    assertOpen(c, d, again, true);
    chat(c, d, 5);
    const [e, f] = meet(bob, alice, options); // the other way round
    assertOpen(e, f, again, true);
    chat(e, f, 5);
    e.connection.close();
    pump(e, f);
    assert.deepEqual([f.last('closed').code, f.last('closed').by], [0, 'peer']);
  });
}

test('handshake sizes of 5.3', () => {
  const sizes = (suite, offer) => {
    const [alice, bob] = people();
    if (suite.startsWith('IK')) meet(alice, bob, { dial: { offer }, listen: { offer } });
    const seen = [];
    meet(alice, bob, {
      dial: { offer, suite },
      listen: { offer },
      change: (bytes) => {
        if (bytes[2] === 1 && bytes.length > 20 && seen.length < 3) seen.push(bytes.length - 3);
        return bytes;
      },
    });
    return seen.slice(0, suite.startsWith('IK') ? 2 : 3);
  };
  assert.deepEqual(sizes('XX', 'classical'), [32, 608, 576]);
  assert.deepEqual(sizes('IK', 'classical'), [608, 560]);
  assert.deepEqual(sizes('XXhfs', 'all'), [1216, 1712, 576]);
  assert.deepEqual(sizes('IKhfs', 'all'), [1808, 1664]);
});

test('bytes that arrive one by one make no difference', () => {
  const [alice, bob] = people();
  const a = new Side(alice, { initiator: true });
  const b = new Side(bob, { initiator: false });
  a.connection.start();
  while (a.out.length > 0 || b.out.length > 0) {
    for (const [from, to] of [[a, b], [b, a]]) {
      for (const bytes of from.out.splice(0)) {
        for (const byte of bytes) to.connection.receive(Uint8Array.of(byte));
      }
    }
  }
  assertOpen(a, b, 'XXhfs', false);
});

test('RETRY: a weaker first message, an unknown static key, a replayed time (5.6)', () => {
  const [alice, bob] = people();
  const retried = (options) => {
    const [a, b] = meet(alice, bob, options);
    assert.equal(a.last('retried')?.suite, 'XXhfs', JSON.stringify(a.events));
    assert.equal(b.last('retry_sent').suite, 'XXhfs');
    assert.equal(a.last('authenticated').suite, 'XXhfs');
    return [a, b];
  };
  retried({ dial: { suite: 'XX' } });
  const stale = retried({ dial: { suite: 'IKhfs', staleStatic: dhKeyPair().pub } });
  assertOpen(...stale, 'XXhfs', true);
  const clock = () => Date.now() - 60_000;
  meet(alice, bob); // IKhfs; its time is kept
  retried({ dial: { clock } });
});

test('a RETRY that names a suite it may not is refused (R-5.6.3)', () => {
  for (const suite of [SUITES.XXhfs, SUITES.IKhfs, SUITES.XX]) {
    const a = new Side(Profile.create('Alice'), { initiator: true, offer: 'hybrid' });
    a.connection.start();
    a.out.splice(0);
    a.connection.receive(concat(u16(3), u8(2), u16(suite)));
    assert.equal(a.last('closed').code, 1);
  }
});

test('a RETRY of an attacker makes the handshake fail (R-5.6.4)', () => {
  const [alice, bob] = people();
  meet(alice, bob);
  const a = new Side(alice, { initiator: true, expected: bob.identity });
  const b = new Side(bob, { initiator: false });
  a.connection.start();
  const [preamble] = a.out.splice(0);
  a.connection.receive(concat(u16(3), u8(2), u16(SUITES.XXhfs)));
  const changed = preamble.slice();
  changed.set(u16(SUITES.XXhfs), 8);
  b.connection.receive(changed);
  pump(a, b);
  assert.equal(a.last('closed').code, 3);
  assert.equal(b.last('closed').code, 3);
});

test('an offer that an attacker cut down breaks the handshake (R-4.3.4)', () => {
  const [alice, bob] = people();
  let first = true;
  const [a] = meet(alice, bob, {
    change: (bytes) => {
      if (!first) return bytes;
      first = false;
      return writePreamble(SUITES.XX, writeOffer(suitesOf('classical')));
    },
  });
  assert.equal(a.last('authenticated'), undefined);
  assert.equal(a.last('closed').code, 1); // as XX, its first message has a payload
});

test('a responder with a weaker choice in its payload is found out (R-4.3.4)', () => {
  // A responder that answers a classical message 1 although both sides know hybrid suites.
  const [alice, bob] = people();
  const a = new Side(alice, { initiator: true, offer: 'all', suite: 'XX' });
  a.connection.start();
  const bytes = concat(...a.out.splice(0));
  const preambleLength = 12 + readU16(bytes, 10);
  const responder = new Handshake({
    pattern: 'XX', initiator: false, prologue: bytes.slice(0, preambleLength), s: bob.staticKey,
  });
  responder.read(bytes.slice(preambleLength + 3));
  const answer = responder.write(padPayload({
    offer: writeOffer(suitesOf('all')), cert: bob.certificate, ratchet: random(32),
  }));
  a.connection.receive(concat(u16(answer.length + 1), u8(1), answer));
  assert.equal(a.last('closed').code, 6);
  assert.deepEqual([...a.out.at(-1)], [0, 3, 3, 0, 6]); // and it says so
});

test('once hybrid, never less (R-4.3.6)', () => {
  const [alice, bob] = people();
  meet(alice, bob);
  const knows = bob.known(alice.identity);
  assert.equal(knows.hybrid, true);
  assert.throws(() => meet(alice, bob, { dial: { offer: 'classical' } }), /hybrid/);
  alice.known(bob.identity).hybrid = false; // a dialler that forgot
  const [a, b] = meet(alice, bob, { dial: { offer: 'classical', suite: 'XX' } });
  assert.equal(b.last('closed').code, 6);
  assert.deepEqual([a.last('closed').code, a.last('closed').by], [6, 'peer']); // by CLOSE
});

test('certificates: wrong ones end the connection with the right code (5.4)', () => {
  const [alice, bob] = people();
  const expectCode = (code, options) => {
    const [a, b] = meet(alice, bob, options);
    assert.equal(a.last('closed').code, code, JSON.stringify([a.events, b.events]));
    return [a, b];
  };
  expectCode(5, { dial: { expected: random(32) } });
  const good = bob.data.certificate;
  bob.data.certificate = issueCertificate(bob.data.seed, random(32), 0, Date.now());
  expectCode(4);
  bob.data.certificate = issueCertificate(bob.data.seed, x25519Public(bob.data.staticPriv), 0, 1000);
  expectCode(4);
  bob.data.certificate = good;
  const theirs = alice.data.certificate;
  alice.data.certificate = issueCertificate(alice.data.seed, random(32), 0, Date.now());
  expectCode(4); // the responder refuses message 3 by CLOSE
  alice.data.certificate = theirs;
  const [mirror] = meet(alice, alice, { dial: { expected: null } });
  assert.equal(mirror.last('closed').code, 5);
  const old = issueCertificate(bob.data.seed, x25519Public(bob.data.staticPriv), 3, Date.now());
  bob.data.certificate = old;
  assertOpen(...meet(alice, bob), 'IKhfs', false);
  bob.data.certificate = good; // generation 0 comes back to life
  expectCode(4);
});

test('silence towards what is no preamble, and bounds (4.1, 4.2)', () => {
  const answer = (bytes) => {
    const b = new Side(Profile.create('Bob'), { initiator: false });
    b.connection.receive(bytes);
    return [b.out.length, b.last('closed')?.code];
  };
  assert.deepEqual(answer(Buffer.from('GET / HTTP/1.1\r\n')), [0, 1]);
  assert.deepEqual(answer(Buffer.from('p2pchat')), [0, undefined]);
  assert.deepEqual(answer(concat(Buffer.from('p2pchat\n'), u16(1), u16(513))), [0, 7]);
  const preamble = writePreamble(SUITES.XX, writeOffer([SUITES.XX]));
  assert.deepEqual(answer(concat(preamble, u16(0))), [1, 1]);
  assert.deepEqual(answer(writePreamble(1, unhex('01020001000100'))), [1, 2]); // major version 2
});

test('every altered byte of a handshake ends it without a session', () => {
  for (const [suite, offer] of [['XX', 'classical'], ['XXhfs', 'all']]) {
    for (const victim of [0, 1, 2, 3]) {
      const [alice, bob] = people();
      let count = -1;
      const [a, b] = meet(alice, bob, {
        dial: { suite, offer },
        listen: { offer },
        change: (bytes) => {
          count += 1;
          if (count !== victim) return bytes;
          const bad = bytes.slice();
          bad[bad.length - 1] ^= 1;
          return bad;
        },
      });
      assert.ok(a.connection.state === 'CLOSED' || b.connection.state === 'CLOSED');
      assert.equal(a.last('session'), undefined);
      assert.equal(b.last('session'), undefined);
    }
  }
});

test('payload padding (R-5.3.1)', () => {
  const payload = padPayload({ a: 1 });
  assert.equal(payload.length, 512);
  assert.equal(unpadPayload(payload).get('a'), 1n);
  const refused = (bytes) => assert.throws(() => unpadPayload(bytes), { code: 1 });
  refused(EMPTY);
  refused(payload.slice(1));
  assert.equal(unpadPayload(concat(payload, new Uint8Array(512))).get('a'), 1n);
  refused(concat(payload, new Uint8Array(511)));
  refused(concat(u16(511), payload.slice(2)));
  const dirty = payload.slice();
  dirty[511] = 1;
  refused(dirty);
});

test('frame padding and kinds (7.2, 7.3)', () => {
  for (const [length, size] of [[0, 256], [253, 256], [254, 512], [100, 256], [65516, 65519]]) {
    assert.equal(pad(KINDS.RATCHET, new Uint8Array(length)).length, size);
  }
  const refused = (bytes) => assert.throws(() => unpad(bytes), { code: 1 });
  refused(new Uint8Array(257));
  refused(pad(KINDS.PING, new Uint8Array(7)));
  refused(pad(0x23, EMPTY));
  assert.equal(unpad(pad(0x80, EMPTY)).kind, 0x80);
  const cover = new Uint8Array(2048); // a greater size than needed is allowed
  cover[0] = 0x80;
  assert.deepEqual(unpad(cover), { kind: 0x80, body: EMPTY });
  const dirty = pad(KINDS.PING, new Uint8Array(8));
  dirty[255] = 1;
  refused(dirty);
});

test('REKEY after 1023 frames, or ten minutes (7.6)', () => {
  const key = random(32);
  const sender = new Sender(new Cipher(key), 0);
  const receiver = new Receiver(new Cipher(key));
  const kinds = [];
  const send = (now) => {
    for (const message of sender.frame(KINDS.PING, random(8), now)) {
      kinds.push(receiver.frame(message).kind);
    }
  };
  for (let i = 0; i < 1023; i += 1) send(0);
  assert.ok(!kinds.includes(KINDS.REKEY));
  send(0);
  assert.deepEqual(kinds.slice(-2), [KINDS.REKEY, KINDS.PING]);
  send(599_999);
  send(600_000);
  assert.deepEqual(kinds.slice(-3), [KINDS.PING, KINDS.REKEY, KINDS.PING]);
  const careless = new Cipher(random(32));
  const strict = new Receiver(new Cipher(careless.key));
  for (let i = 0; i < 2048; i += 1) strict.frame(careless.encrypt(EMPTY, pad(0x80, EMPTY)));
  assert.throws(() => strict.frame(careless.encrypt(EMPTY, pad(0x80, EMPTY))), { code: 7 });
});

test('lost acknowledgements and envelopes come again, once (8.4, 8.5)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  chat(a, b, 3);
  a.connection.sendText('its acknowledgement is lost');
  for (const bytes of a.out.splice(0)) b.connection.receive(bytes);
  b.out.splice(0);
  a.connection.sendText('it is lost itself');
  a.out.splice(0);
  b.connection.sendText('queued by the other side');
  b.out.splice(0);
  const [c, d] = meet(alice, bob);
  assertOpen(c, d, 'IKhfs', true);
  assert.deepEqual(d.names('received').map(({ text }) => text), ['it is lost itself']);
  assert.deepEqual(c.names('received').map(({ text }) => text), ['queued by the other side']);
  assert.equal(c.names('delivered').length, 2);
  assert.equal(d.names('delivered').length, 1);
});

test('a rolled-back state is noticed and a new session delivers everything (R-8.4.4)', () => {
  const [alice, bob] = people();
  meet(alice, bob);
  const old = structuredClone(bob.known(alice.identity));
  const [a, b] = meet(alice, bob);
  chat(a, b, 2);
  b.connection.sendText('unacknowledged');
  b.out.splice(0);
  const { outbox } = bob.known(alice.identity);
  Object.assign(bob.known(alice.identity), old, { outbox });
  queueText(alice.known(bob.identity), 'waiting', Date.now());
  const [c, d] = meet(alice, bob);
  assertOpen(c, d, 'IKhfs', false);
  assert.equal(c.names('session_lost').length, 1);
  assert.deepEqual(c.names('received').map(({ text }) => text), ['unacknowledged']);
  assert.deepEqual(d.names('received').map(({ text }) => text), ['waiting']);
});

test('a message that comes again in a new session is stored once (R-8.5.4)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  a.connection.sendText('once');
  for (const bytes of a.out.splice(0)) b.connection.receive(bytes);
  b.out.splice(0); // stored, but the acknowledgement is lost
  alice.known(bob.identity).session.id = random(16); // and the sessions do not fit any more
  const [c, d] = meet(alice, bob);
  assertOpen(c, d, 'IKhfs', false);
  assert.equal(d.names('received').length, 0);
  assert.equal(c.names('delivered').length, 1);
});

test('an envelope that does not decrypt breaks the session (R-8.5.6)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  alice.known(bob.identity).session.ratchet.sending.ck = random(32);
  a.connection.sendText('sealed with a wrong key');
  pump(a, b);
  assert.equal(b.last('closed').code, 0x0a);
  assert.equal(a.last('closed').code, 0x0a);
  const [c, d] = meet(alice, bob);
  assertOpen(c, d, 'IKhfs', false);
  assert.deepEqual(d.names('received').map(({ text }) => text), ['sealed with a wrong key']);
});

test('long texts travel in parts; the window is 256 (8.5)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  const long = 'ä'.repeat(32768);
  a.connection.sendText(long);
  pump(a, b);
  assert.equal(b.last('received').text, long);
  for (let i = 0; i < 300; i += 1) a.connection.sendText(`${i}`);
  assert.equal(alice.known(bob.identity).session.unacked.length, 256);
  pump(a, b);
  assert.equal(b.names('received').length, 301);
  assert.equal(a.names('delivered').length, 301);
});

test('frames out of their state, and impossible indexes, are refused (8.1, 8.5)', () => {
  const refusedWith = (code, kind, body, prepare = () => {}) => {
    const [alice, bob] = people();
    const [a, b] = meet(alice, bob);
    prepare(b);
    for (const message of a.connection.sender.frame(kind, body, Date.now())) {
      b.connection.receive(concat(u16(message.length), message));
    }
    assert.equal(b.last('closed').code, code);
  };
  refusedWith(1, KINDS.HELLO, writeHello({ name: 'x' }));
  refusedWith(1, KINDS.RESUME, EMPTY);
  refusedWith(1, KINDS.ACK, u64(1000));
  refusedWith(1, KINDS.RATCHET, concat(u64(7), new Uint8Array(1270)));
  refusedWith(1, KINDS.RATCHET, EMPTY);
  refusedWith(1, KINDS.RATCHET_PART, new Uint8Array(65516), (b) => {
    b.connection.partsLength = 8500;
  });
});

test('a message of a later version is stored and acknowledged (R-9.2.2)', async () => {
  const { encode } = await import('../src/msgpack.mjs');
  for (const later of [
    { t: 'picture', pixels: random(3) },
    { t: 'picture', '!pixels': random(3) },
    { t: 'text', body: 'until tomorrow', '!until': 1 },
  ]) {
    const [alice, bob] = people();
    const [a, b] = meet(alice, bob);
    const contact = alice.known(bob.identity);
    const id = random(16);
    const content = encode({ id, at: 1, ...later });
    contact.outbox.push({ id: hex(id), content, index: null });
    a.connection.flush();
    pump(a, b);
    assert.equal(b.last('received').kind, later.t);
    assert.equal(b.last('received').text, null);
    assert.equal(a.names('delivered').length, 1);
  }
});

test('an ephemeral key of low order is refused like any other message (R-5.1.6, R-5.2.5)', () => {
  const [, bob] = people();
  const b = new Side(bob, { initiator: false });
  const preamble = writePreamble(SUITES.XX, writeOffer(suitesOf('classical')));
  b.connection.receive(concat(preamble, u16(33), u8(1), new Uint8Array(32)));
  assert.equal(b.last('closed').code, 3);
});

test('keepalive and time limits (7.4)', () => {
  let now = Date.now();
  const clock = () => now;
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob, { dial: { clock }, listen: { clock } });
  now += 14_999;
  a.connection.tick();
  assert.equal(a.out.length, 0);
  now += 1;
  a.connection.tick();
  assert.equal(a.out.length, 1); // PING
  pump(a, b);
  assert.equal(b.connection.sentAt, now); // PONG
  now += 45_001;
  b.connection.receive(Uint8Array.of(1)); // stray bytes keep nobody alive
  b.connection.tick();
  assert.equal(b.last('closed').code, 8);
  const lonely = new Side(Profile.create('Bob'), { initiator: false, clock });
  now += 10_001;
  lonely.connection.tick();
  assert.equal(lonely.last('closed').code, 8);
  lonely.connection.eof();
  const cut = new Side(Profile.create('Bob'), { initiator: false, clock });
  cut.connection.eof();
  assert.equal(cut.last('closed').code, 0x0d);
});

test('a greeting that does not accept leaves the connection pending; a second one opens it', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob, { listen: { accept: false } });
  assert.deepEqual([a.connection.state, b.connection.state], ['PENDING', 'PENDING']);
  assert.deepEqual([a.last('greeted').accepted, a.last('greeted').name], [false, null]);
  a.connection.sendText('waits');
  assert.equal(a.out.length, 0);
  b.connection.accept();
  pump(a, b);
  assertOpen(a, b, 'XXhfs', false);
  assert.equal(b.last('received').text, 'waits');
  const [c, d] = meet(alice, bob, { listen: { accept: false } });
  c.connection.sender.frame(KINDS.HELLO, writeHello({ name: 'x' }), Date.now())
    .forEach((message) => d.connection.receive(concat(u16(message.length), message)));
  assert.equal(d.last('closed').code, 1); // accepted already
});

test('a state file serves a new process', () => {
  const folder = mkdtempSync(join(tmpdir(), 'peer-'));
  const path = join(folder, 'state.json');
  try {
    const alice = Profile.create('Alice');
    const bob = Profile.open(path, 'Bob');
    chat(...meet(alice, bob), 2);
    const again = Profile.open(path, 'ignored');
    assert.equal(again.name, 'Bob');
    assert.ok(equal(again.identity, bob.identity));
    const [a, b] = meet(alice, again);
    assertOpen(a, b, 'IKhfs', true);
    chat(a, b, 2);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
