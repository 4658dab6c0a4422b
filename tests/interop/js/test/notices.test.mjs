// protocol.md 3.7, 3.8, 7.8, 8.6: notices between two connections, and their refusals.

import assert from 'node:assert/strict';
import test from 'node:test';
import { concat, u64, u8 } from '../src/bytes.mjs';
import { writeStep } from '../src/comparison.mjs';
import { issueCertificate, issueRevocation, issueSuccession, newIdentity } from '../src/identity.mjs';
import { LEDGER_START } from '../src/ledger.mjs';
import { dhKeyPair, random, x25519Public } from '../src/primitives.mjs';
import { newContact } from '../src/session.mjs';
import { KINDS } from '../src/transport.mjs';
import { LOST, inject, meet, people, pump } from './support.mjs';

const DAY = 86_400_000;

test('a rotated key is told, taken, and dialled (R-7.8.2 to R-7.8.5)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  bob.rotate();
  b.connection.notify((notices) => notices.tellCertificate());
  pump(a, b);
  assert.equal(a.last('rotated').generation, 1);
  assert.deepEqual(alice.known(bob.identity).certificate, bob.certificate);
  const [c, d] = meet(alice, bob);
  assert.equal(c.last('authenticated').suite, 'IKhfs');
  assert.equal(c.last('session').resumed, true);
  assert.equal(d.last('retry_sent'), undefined);
  assert.equal(c.last('rotated'), undefined); // it knew already
});

test('the previous key answers for 14 days and tells the new one (R-3.3.8, R-3.3.9)', () => {
  const [alice, bob] = people();
  meet(alice, bob);
  const later = (days) => ({ clock: () => Date.now() + days * DAY });
  bob.rotate();
  const [a] = meet(alice, bob, { dial: later(13), listen: later(13) });
  assert.equal(a.last('authenticated').suite, 'IKhfs');
  assert.equal(a.last('rotated').generation, 1);
  const [carol, dave] = people();
  meet(carol, dave);
  dave.rotate();
  const [c] = meet(carol, dave, { dial: later(14), listen: later(14) });
  assert.equal(c.last('retried').suite, 'XXhfs');
  assert.equal(dave.data.previous, undefined);
});

test('certificates that a notice may not bring (R-7.8.4)', () => {
  const expectCode = (code, make) => {
    const [alice, bob] = people();
    const [a, b] = meet(alice, bob);
    alice.known(bob.identity).generation = 5;
    inject(b, a, KINDS.CERTIFICATE, make(alice, bob));
    assert.equal(a.last('closed')?.code, code);
  };
  const { pub } = dhKeyPair();
  const now = Date.now();
  expectCode(undefined, (_, bob) => issueCertificate(bob.data.seed, pub, 5, now));
  expectCode(4, (_, bob) => issueCertificate(bob.data.seed, pub, 4, now));
  expectCode(4, () => newIdentity().certificate);
  expectCode(4, (_, bob) => issueCertificate(bob.data.seed, pub, 6, 1000));
  expectCode(4, (alice, bob) =>
    issueCertificate(bob.data.seed, x25519Public(alice.data.staticPriv), 6, now));
  expectCode(1, (_, bob) => bob.certificate.slice(1));
});

test('a revocation ends the connection, and every later one (R-3.7.3, R-3.7.4)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  inject(b, a, KINDS.REVOKED, issueRevocation(random(32))); // of nobody
  assert.equal(a.last('closed'), undefined);
  inject(b, a, KINDS.REVOKED, issueRevocation(bob.data.seed));
  assert.deepEqual([a.last('closed').code, a.last('revoked').own], [0x0e, false]);
  assert.equal(alice.known(bob.identity).session, null);
  assert.throws(() => meet(alice, bob), /revoked/);
  const [c] = meet(bob, alice);
  assert.equal(c.last('closed').code, 0x0e);
});

test('a revocation of our own is told on; nothing is sent any more (R-3.7.5)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  inject(b, a, KINDS.REVOKED, issueRevocation(alice.data.seed));
  pump(a, b);
  assert.equal(a.last('revoked').own, true);
  assert.equal(b.last('closed').code, 0x0e);
  const [c, d] = meet(alice, bob);
  assert.deepEqual([c.last('closed').code, c.last('closed').by], [0x0e, 'peer']);
  assert.equal(d.last('greeted'), undefined);
  const stranger = people()[0];
  const [e, f] = meet(alice, stranger);
  assert.equal(f.last('greeted').accepted, false);
  assert.equal(f.last('closed').code, 0x0e);
  assert.throws(() => e.connection.sendText('no'), /revoked/);
});

test('false revocations are refused', () => {
  for (const change of [(bytes) => bytes.slice(1), (bytes) => bytes.fill(0, 96)]) {
    const [alice, bob] = people();
    const [a, b] = meet(alice, bob);
    inject(b, a, KINDS.REVOKED, change(issueRevocation(bob.data.seed)));
    assert.equal(a.last('closed').code, 1);
    assert.equal(alice.known(bob.identity).revoked, false);
  }
});

test('a succession: nothing is sent until the person decides (R-3.7.9, R-3.7.10)', () => {
  const [alice, bob] = people();
  meet(alice, bob);
  const [carol, mallory] = people();
  carol.data.succession = issueSuccession(bob.data.seed, carol.data.seed, Date.now());
  mallory.data.succession = carol.data.succession;
  const [m, a] = meet(mallory, alice);
  assert.equal(a.last('closed').code, 1); // to somebody else
  assert.equal(m.last('closed').code, 1);
  const [, d] = meet(carol, alice);
  assert.equal(d.last('succession').from, bob.peerId);
  const [b, e] = meet(bob, alice); // who is still the pinned one
  assert.equal(b.last('closed'), undefined);
  assert.throws(() => e.connection.sendText('to whom?'), /nothing is sent/);
});

test('comparing a phrase: the same, another, and three tries (3.8)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  const type = (side, phrase) => {
    side.connection.notify(({ comparison }) => comparison.type(phrase));
    pump(a, b);
  };
  const outcomes = () => [a, b].map((side) => side.last('compare').outcome);
  type(a, 'The  BOAT');
  assert.equal(b.last('compare').outcome, 'invited');
  type(b, 'the boat');
  assert.deepEqual(outcomes(), ['same', 'same']);
  assert.equal(alice.known(bob.identity).verified && bob.known(alice.identity).verified, true);
  for (let i = 1; i <= 3; i += 1) {
    type(i === 2 ? b : a, 'one thing');
    type(i === 2 ? a : b, 'another');
    assert.deepEqual(outcomes(), ['different', 'different']);
    assert.equal(alice.known(bob.identity).tries, i);
    assert.equal(bob.known(alice.identity).tries, i);
  }
  assert.throws(() => type(a, 'one thing'), /too many/);
  alice.known(bob.identity).tries = 0;
  type(a, 'one thing');
  assert.equal(a.last('compare').outcome, 'cancelled'); // bob takes part in no more
});

test('both ask at once: the greater identity\'s run goes on (R-3.8.4)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  for (const side of [a, b]) side.connection.notify(({ comparison }) => comparison.type('the boat'));
  pump(a, b);
  assert.deepEqual([a, b].map((side) => side.last('compare').outcome), ['same', 'same']);
});

test('a run that is given up, disturbed, repeated, or too old', () => {
  const [alice, bob] = people();
  let now = Date.now();
  const clock = () => now;
  const [a, b] = meet(alice, bob, { dial: { clock }, listen: { clock } });
  const ask = () => {
    a.connection.notify(({ comparison }) => comparison.type('the boat'));
    pump(a, b);
  };
  const expectEnd = (ours, theirs) => {
    pump(a, b);
    assert.deepEqual([a, b].map((side) => side.last('compare').outcome), [ours, theirs]);
    assert.deepEqual([a, b].map((side) => side.connection.notices.comparison.state), ['IDLE', 'IDLE']);
  };
  const { h } = a.connection.notices.comparison;
  ask();
  b.connection.notify(({ comparison }) => comparison.giveUp());
  expectEnd('cancelled', 'given up');
  ask();
  const { run } = a.connection.notices.comparison;
  inject(b, a, KINDS.COMPARE, writeStep({ step: 3, run, payload: new Uint8Array(64) }, h, bob.identity));
  expectEnd('disturbed', 'cancelled');
  ask();
  inject(b, a, KINDS.COMPARE, writeStep({ step: 2, run, payload: random(32) }, h, bob.identity));
  assert.equal(a.connection.notices.comparison.state, 'ASKED'); // of the run ended last
  inject(b, a, KINDS.COMPARE, writeStep({ step: 1, run, payload: random(32) }, h, bob.identity));
  expectEnd('repeated', 'cancelled');
  ask();
  inject(b, a, KINDS.COMPARE, writeStep({ step: 1, run: random(8), payload: random(32) }, h, alice.identity));
  expectEnd('foreign', 'cancelled');
  ask();
  const theirs = a.connection.notices.comparison;
  inject(b, a, KINDS.COMPARE,
    writeStep({ step: 2, run: theirs.run, payload: theirs.share }, h, bob.identity));
  expectEnd('disturbed', 'cancelled'); // our own share
  ask();
  now += 300_000;
  a.connection.notify((notices) => notices.tick());
  expectEnd('timeout', 'cancelled');
  assert.equal(alice.known(bob.identity).tries, 0); // none of it was a guess
});

test('COMPARE before OPEN, and wrong lengths of notices, are refused (R-7.8.1, R-7.8.7)', () => {
  const expectRefused = (kind, body, options) => {
    const [alice, bob] = people();
    const [a, b] = meet(alice, bob, options);
    inject(b, a, kind, body);
    assert.equal(a.last('closed')?.code, 1);
  };
  const step = concat(u8(1), new Uint8Array(56));
  expectRefused(KINDS.COMPARE, step, { listen: { accept: false } });
  expectRefused(KINDS.COMPARE, step.slice(1));
  expectRefused(KINDS.COMPARE, new Uint8Array(0));
  expectRefused(KINDS.LEDGER, new Uint8Array(39));
  expectRefused(KINDS.TYPING, u8(2));
  expectRefused(KINDS.TYPING, new Uint8Array(2));
  expectRefused(KINDS.REVOKED, new Uint8Array(1025));
});

test('typing is shown for six seconds, or until the next message (R-7.8.8)', () => {
  const [alice, bob] = people();
  let now = Date.now();
  const clock = () => now;
  const [a, b] = meet(alice, bob, { dial: { clock }, listen: { clock } });
  const typing = (on) => {
    a.connection.notify((notices) => notices.tellTyping(on));
    pump(a, b);
  };
  const shown = () => b.last('typing')?.on;
  typing(true);
  assert.equal(shown(), true);
  now += 2_999;
  a.connection.notify((notices) => notices.tellTyping(true));
  assert.equal(a.out.length, 0);
  now += 3_001;
  b.connection.tick();
  assert.equal(shown(), false);
  typing(true);
  a.connection.sendText('here');
  pump(a, b);
  assert.equal(shown(), false);
});

/** Makes Bob forget his newest messages and the session, as a restored backup would. */
function forget(bob, alice, how) {
  const contact = bob.known(alice.identity);
  how(contact);
  contact.session = null;
}

test('a ledger tells which messages are missing, once (8.6)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  const ids = ['one', 'two', 'three'].map((text) => a.connection.sendText(text));
  pump(a, b);
  const old = structuredClone(bob.known(alice.identity).ledger);
  ids.push(a.connection.sendText('four'));
  pump(a, b);
  a.connection.notify((notices) => notices.tellLedger());
  pump(a, b);
  assert.equal(b.last('ledger'), undefined);
  forget(bob, alice, (contact) => { contact.ledger = old; });
  const [c, d] = meet(alice, bob);
  assert.deepEqual([c.names('ledger').length, d.names('ledger').length], [1, 1]);
  assert.deepEqual(c.last('ledger').ids, [ids[3]]);
  assert.deepEqual([d.last('ledger').what, d.last('ledger').count], ['lost by us', 1]);
  const [e, f] = meet(alice, bob);
  assert.equal(e.last('ledger') ?? f.last('ledger'), undefined);
  inject(e, f, KINDS.LEDGER, concat(u64(4), LEDGER_START));
  assert.equal(f.last('ledger').what, 'forked');
  inject(e, f, KINDS.LEDGER, concat(u64(4), LEDGER_START));
  assert.equal(f.names('ledger').length, 1);
  inject(e, f, KINDS.LEDGER, concat(u64(2n ** 63n - 1n), LEDGER_START)); // not known
  assert.equal(f.connection.state, 'OPEN');
  inject(e, f, KINDS.LEDGER, concat(u64(2n ** 63n), LEDGER_START));
  assert.equal(f.last('closed').code, 1);
});

test('acknowledgements under way are no difference; what we know nothing of is (R-8.6.3)', () => {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob);
  a.connection.sendText('acknowledged');
  pump(a, b);
  a.connection.sendText('arrives, its acknowledgement does not');
  pump(a, b, (bytes, from) => (from === b ? LOST : bytes));
  const [c, d] = meet(alice, bob);
  assert.equal(c.last('ledger') ?? d.last('ledger'), undefined);
  assert.deepEqual(alice.known(bob.identity).ledger.sent.ids.length, 2);
  const own = alice.known(bob.identity);
  Object.assign(own, { ledger: newContact(own.identity).ledger, session: null });
  const [e, f] = meet(alice, bob);
  assert.deepEqual([e.last('ledger').what, e.last('ledger').count], ['unknown to us', 2]);
  assert.equal(f.last('ledger'), undefined);
  const [g, h] = meet(alice, bob);
  assert.equal(g.last('ledger') ?? h.last('ledger'), undefined);
});
