// protocol.md 9.4 to 9.6: what messages do to a conversation.

import assert from 'node:assert/strict';
import test from 'node:test';
import { unhex } from '../src/bytes.mjs';
import { apply, expire, newConversation, startClock } from '../src/conversation.mjs';
import { edPublic, random } from '../src/primitives.mjs';
import { issueStatementKey, writeStatement } from '../src/statements.mjs';
import { LOST, meet, people, pump } from './support.mjs';

/** Two sides that are connected, and `say`, which delivers what one says. */
function open(options) {
  const [alice, bob] = people();
  const [a, b] = meet(alice, bob, options);
  const say = (side, message) => {
    const id = side.connection.send(message);
    pump(a, b);
    return id;
  };
  return { a, b, say, ofAlice: alice.known(bob.identity), ofBob: bob.known(alice.identity) };
}

test('answers, edits, deletions, reactions, receipts (9.5)', () => {
  const { a, b, say, ofAlice, ofBob } = open();
  const id = say(a, { t: 'text', body: 'fist' });
  const of = unhex(id);
  say(a, { t: 'edit', of, body: 'first' });
  say(b, { t: 'text', body: 'yes', re: of });
  say(b, { t: 'reaction', of, emoji: '👍' });
  say(b, { t: 'read', of });
  for (const contact of [ofAlice, ofBob]) {
    const [line, answer] = contact.lines;
    assert.deepEqual([line.body, line.edited, answer.re], ['first', true, id]);
    assert.deepEqual(Object.values(line.reactions), ['👍']);
  }
  assert.equal(ofAlice.readUpTo, id);
  say(b, { t: 'reaction', of, emoji: '' });
  assert.deepEqual(ofAlice.lines[0].reactions, {});
  assert.throws(() => say(b, { t: 'edit', of, body: 'not mine' }), /changes nothing/);
  assert.throws(() => say(b, { t: 'delete', of }), /changes nothing/);
  assert.equal(apply(ofAlice, { t: 'edit', of: id, body: 'forged', at: Date.now() }, false), false);
  say(a, { t: 'delete', of });
  for (const contact of [ofAlice, ofBob]) {
    assert.deepEqual([contact.lines[0].body, contact.lines[0].deleted], [null, true]);
  }
  assert.throws(() => say(b, { t: 'reaction', of, emoji: '!' }), /changes nothing/);
  assert.deepEqual(a.names('received').map(({ kind }) => kind), ['text', 'reaction', 'read', 'reaction']);
});

test('an edit comes within a day of its text, by the author\'s clock (R-9.5.3)', () => {
  const contact = newConversation();
  apply(contact, { t: 'text', id: '00', at: 1000, body: 'x' }, false);
  const edit = (at) => apply(contact, { t: 'edit', of: '00', at, body: 'y' }, false);
  assert.deepEqual([edit(999), edit(1000), edit(86_401_000), edit(86_401_001)], [false, true, true, false]);
});

test('a deleted text that may have arrived is replaced by its own deletion (R-9.5.4)', () => {
  const { a, b, ofAlice, ofBob } = open();
  const lost = a.connection.sendText('lost');
  pump(a, b, (bytes, from) => (from === a ? LOST : bytes));
  a.connection.send({ t: 'delete', of: unhex(lost) });
  a.out.splice(0);
  ofBob.session = null;
  const [c, d] = meet(a.profile, b.profile);
  assert.deepEqual(d.names('received').map(({ kind, id }) => [kind, id === lost]), [
    ['delete', true], ['delete', false],
  ]);
  assert.equal(c.last('ledger') ?? d.last('ledger'), undefined);
  assert.equal(ofAlice.ledger.sent.ids.length, 2);
});

test('kinds that the peer does not know are not sent (R-8.3.6)', () => {
  const { a, ofAlice } = open();
  ofAlice.kinds = ['text'];
  const of = unhex(a.connection.sendText('x'));
  assert.throws(() => a.connection.send({ t: 'delete', of }), /R-8.3.6/);
  ofAlice.timer.inForce = 60;
  assert.throws(() => a.connection.sendText('y'), /R-8.3.6/);
});

test('timers: proposed, accepted, crossing, ended (R-9.6.2)', () => {
  const { a, b, say, ofAlice, ofBob } = open();
  const inForce = () => [ofAlice.timer.inForce, ofBob.timer.inForce];
  const first = say(a, { t: 'timer', state: 'propose', s: 60 });
  assert.deepEqual(inForce(), [0, 0]);
  say(b, { t: 'timer', state: 'accept', of: unhex(first) });
  assert.deepEqual(inForce(), [60, 60]);
  const text = say(b, { t: 'text', body: 'soon gone' });
  assert.deepEqual([ofAlice.lines.at(-1).ttl, a.last('received').ttl], [60, 60]);
  assert.deepEqual(expire(ofAlice, Date.now() + 61_000), [text]);
  assert.deepEqual(expire(ofBob, Date.now() + 61_000), [text]);
  const p = a.connection.send({ t: 'timer', state: 'propose', s: 100 });
  const q = b.connection.send({ t: 'timer', state: 'propose', s: 30 });
  pump(a, b);
  a.connection.send({ t: 'timer', state: 'accept', of: unhex(q) });
  b.connection.send({ t: 'timer', state: 'accept', of: unhex(p) });
  pump(a, b);
  assert.deepEqual(inForce(), [30, 30]); // the shorter one
  say(a, { t: 'timer', state: 'end' });
  assert.deepEqual(inForce(), [0, 0]);
  assert.throws(() => say(a, { t: 'timer', state: 'end' }), /changes nothing/);
});

test('only a ttl that was agreed is obeyed (R-9.6.3)', () => {
  const contact = newConversation();
  contact.timer = { ...contact.timer, inForce: 60, before: 30 };
  const now = 1000;
  for (const [id, ttl] of [['a', 60], ['b', 30], ['c', 5]]) {
    apply(contact, { t: 'text', id, at: 0, body: 'x', ttl }, false);
    startClock(contact, id, now);
  }
  assert.deepEqual(expire(contact, now + 60_000), ['a', 'b']);
});

test('statements count only on the record (R-9.4.5)', () => {
  const { a, b, say } = open();
  const keySeed = random(32);
  const { profile } = b;
  const now = Date.now();
  const certificate = issueStatementKey(profile.data.seed, edPublic(keySeed), now);
  const signed = (recipient) => ({ t: 'statement', signed: writeStatement({
    certificate, statementSeed: keySeed, recipient, at: now, text: 'I owe you a boat.',
  }) });
  say(b, signed(a.profile.identity));
  assert.equal(a.last('received').text, null);
  say(b, { t: 'record', state: 'propose' });
  say(a, { t: 'record', state: 'accept' });
  say(b, signed(a.profile.identity));
  assert.equal(a.last('received').text, 'I owe you a boat.');
  say(b, signed(random(32)));
  assert.equal(a.last('received').text, null);
});
