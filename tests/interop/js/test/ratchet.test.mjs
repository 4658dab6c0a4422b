// protocol.md 6 against tests/vectors/ratchet.json, and self-play.

import assert from 'node:assert/strict';
import test from 'node:test';
import { hex, unhex, utf8, text } from '../src/bytes.mjs';
import {
  KEM_INTERVAL_MS, Ratchet, chainStep, rootStep, seedKeys,
} from '../src/ratchet.mjs';
import { dhKeyPair, kemDecapsulate, kemEncapsulate, kemKeyPair, random } from '../src/primitives.mjs';
import { vector } from './support.mjs';

const vectors = vector('ratchet.json');

test('seeding (R-6.1.1)', () => {
  const v = vectors.seeding;
  const seed = seedKeys(unhex(v.ck), unhex(v.h));
  assert.equal(hex(seed.rootKey), v.root_key);
  assert.equal(hex(seed.headerKeyInitiator), v.header_key_initiator);
  assert.equal(hex(seed.nextHeaderKey), v.next_header_key);
  assert.equal(hex(seed.sessionId), v.session_id);
});

test('root, hybrid root and chain steps (R-6.2.4 to R-6.2.6)', () => {
  const check = (v, exchange) => {
    const [rk, ck, hk] = rootStep(unhex(v.root_key), unhex(v.dh), exchange);
    assert.deepEqual(
      [hex(rk), hex(ck), hex(hk)], [v.next_root_key, v.chain_key, v.next_header_key],
    );
  };
  check(vectors.root_step, null);
  const h = vectors.hybrid_root_step;
  const pair = kemKeyPair(unhex(h.kem_seed));
  assert.equal(hex(pair.ek), h.encapsulation_key);
  const { ct, ss } = kemEncapsulate(pair.ek, unhex(h.encapsulation_randomness));
  assert.equal(hex(ct), h.ciphertext);
  assert.equal(hex(ss), h.shared_secret);
  assert.equal(hex(kemDecapsulate(pair.dk, ct)), h.shared_secret);
  check(h, { ss, ek: pair.ek, ct });
  const c = vectors.chain_step;
  const { mk, next } = chainStep(unhex(c.chain_key));
  assert.deepEqual([hex(mk), hex(next)], [c.message_key, c.next_chain_key]);
});

test('the conversation', () => {
  const v = vectors.conversation;
  const seed = seedKeys(unhex(vectors.seeding.ck), unhex(vectors.seeding.h));
  const ad = unhex(v.ad);
  let drawn = v.initiator_drawn.map(unhex);
  let time = 0;
  const env = {
    draw: (length) => {
      const bytes = drawn.shift();
      assert.equal(bytes?.length, length);
      return bytes;
    },
    now: () => time,
  };
  const pair = dhKeyPair(unhex(v.responder_ratchet_private));
  assert.equal(hex(pair.pub), v.responder_ratchet_public);
  const parties = {
    initiator: Ratchet.initiator({ seed, ad, responderKey: pair.pub }, env),
    responder: Ratchet.responder({ seed, ad, pair }, env),
  };
  for (const [number, step] of v.steps.entries()) {
    const party = parties[step.party];
    const where = `step ${number} ${step.step} ${step.reason ?? ''}`;
    if (step.step === 'encrypt') {
      // "due by the clock": more than an hour has passed for this party, or no time at all.
      party.state.kem.lastAt = step.kem_due ? time - KEM_INTERVAL_MS : time;
      drawn = step.drawn.map(unhex);
      assert.equal(hex(party.encrypt(unhex(step.plaintext))), step.envelope, where);
      assert.equal(drawn.length, 0, where);
    } else if (step.step === 'decrypt') {
      const envelope = unhex(v.steps[step.envelope].envelope);
      assert.equal(hex(party.decrypt(envelope)), step.plaintext, where);
    } else {
      const before = structuredClone(party.state);
      assert.throws(() => party.decrypt(unhex(step.envelope)), where);
      assert.deepEqual(party.state, before, where);
    }
    time += 1;
  }
});

function pairOfRatchets(env) {
  const seed = seedKeys(random(32), random(32));
  const ad = random(96);
  const pair = dhKeyPair();
  return [
    Ratchet.initiator({ seed, ad, responderKey: pair.pub }, env),
    Ratchet.responder({ seed, ad, pair }, env),
  ];
}

test('hybrid steps alternate between the sides', () => {
  const [alice, bob] = pairOfRatchets();
  assert.equal(bob.canSend, false);
  const flagsSeen = new Set();
  for (let i = 0; i < 160; i += 1) {
    assert.equal(text(bob.decrypt(alice.encrypt(utf8(`a${i}`)))), `a${i}`);
    if (alice.state.kem.offered) flagsSeen.add('alice');
    assert.equal(text(alice.decrypt(bob.encrypt(utf8(`b${i}`)))), `b${i}`);
    if (bob.state.kem.offered) flagsSeen.add('bob');
  }
  assert.ok(alice.state.kem.steps >= 4);
  assert.equal(alice.state.kem.steps, bob.state.kem.steps);
  assert.deepEqual([...flagsSeen].sort(), ['alice', 'bob']);
});

test('skipping is bounded (R-6.5.1, R-6.5.3)', () => {
  const [alice, bob] = pairOfRatchets();
  const lost = [];
  for (let i = 0; i < 1001; i += 1) lost.push(alice.encrypt(utf8(`${i}`)));
  const tooFar = alice.encrypt(utf8('1001'));
  assert.throws(() => bob.decrypt(tooFar), /skipped/);
  assert.equal(text(bob.decrypt(lost[1000])), '1000');
  assert.equal(bob.state.skipped.length, 1000);
  assert.equal(text(bob.decrypt(lost[0])), '0');
  assert.throws(() => bob.decrypt(lost[0]));
});
