// protocol.md 5.1, 5.2, 5.5 against published vectors.

import assert from 'node:assert/strict';
import test from 'node:test';
import { EMPTY, hex, unhex } from '../src/bytes.mjs';
import { Cipher, Handshake, fixedLength } from '../src/noise.mjs';
import { dhKeyPair } from '../src/primitives.mjs';
import { vector } from './support.mjs';

const key = (digits) => (digits ? dhKeyPair(unhex(digits)) : null);

function play(pattern, v, messages) {
  const side = (who, initiator, fixed) => new Handshake({
    pattern,
    initiator,
    prologue: unhex(v[`${who}_prologue`] ?? ''),
    s: key(v[`${who}_static`]),
    rs: v[`${who}_remote_static`] ? unhex(v[`${who}_remote_static`]) : null,
    fixed: { e: unhex(v[`${who}_ephemeral`]), ...fixed },
  });
  const initiator = side('init', true, v.init_kem_seed && { kemSeed: unhex(v.init_kem_seed) });
  const responder = side('resp', false, v.encaps_m && { encapsulation: unhex(v.encaps_m) });
  let transports;
  messages.forEach(({ payload, ciphertext }, i) => {
    const [writer, reader] = i % 2 === 0 ? [initiator, responder] : [responder, initiator];
    if (!transports && writer.finished) {
      assert.equal(hex(initiator.h), v.handshake_hash);
      transports = new Map([[initiator, initiator.split()], [responder, responder.split()]]);
    }
    if (transports) {
      assert.equal(hex(transports.get(writer).send.encrypt(EMPTY, unhex(payload))), ciphertext);
      assert.equal(hex(transports.get(reader).receive.decrypt(EMPTY, unhex(ciphertext))), payload);
      return;
    }
    assert.equal(hex(writer.write(unhex(payload))), ciphertext);
    const forged = unhex(ciphertext);
    forged[forged.length - 1] ^= 1;
    if (i > 0 || pattern.startsWith('IK')) {
      assert.throws(() => reader.read(forged)); // and the genuine one still comes
    }
    assert.equal(hex(reader.read(unhex(ciphertext))), payload);
  });
  if (!transports) {
    assert.equal(hex(initiator.h), v.handshake_hash);
    transports = new Map([[initiator, initiator.split()], [responder, responder.split()]]);
  }
  return transports.get(initiator);
}

for (const pattern of ['XX', 'IK']) {
  test(`${pattern} vectors`, () => {
    const { vectors } = vector(`noise/Noise_${pattern}_25519_ChaChaPoly_SHA256.json`);
    assert.ok(vectors.length > 0);
    for (const v of vectors) play(pattern, v, v.messages);
  });
}

test('XXhfs vector', () => {
  const { vectors } = vector('noise_hfs/Noise_XXhfs_25519+MLKEM768_ChaChaPoly_SHA256.json');
  for (const v of vectors) {
    const { send, receive } = play('XXhfs', v, v.messages);
    assert.equal(hex(send.key), v.split_k1);
    assert.equal(hex(receive.key), v.split_k2);
  }
});

test('REKEY vector (R-5.1.9)', () => {
  const v = vector('noise/rekey_chachapoly.json');
  const cipher = new Cipher(unhex(v.k), 7n);
  cipher.rekey();
  assert.equal(hex(cipher.key), v.rekeyed);
  cipher.rekey();
  assert.equal(hex(cipher.key), v.rekeyed_twice);
  assert.equal(cipher.n, 7n);
});

test('fixed lengths (R-5.2.3, R-5.5.2)', () => {
  const lengths = (pattern, n) => Array.from({ length: n }, (_, i) => fixedLength(pattern, i));
  assert.deepEqual(lengths('XX', 3), [32, 96, 64]);
  assert.deepEqual(lengths('XXhfs', 3), [1216, 1200, 64]);
  assert.deepEqual(lengths('IK', 2), [96, 48]);
  assert.deepEqual(lengths('IKhfs', 2), [1296, 1152]);
});

test('an encapsulation key out of range is refused (R-5.5.4)', () => {
  const s = dhKeyPair();
  const side = (initiator) => new Handshake({ pattern: 'XXhfs', initiator, prologue: EMPTY, s });
  const message = side(true).write(EMPTY);
  const responder = side(false);
  const bad = message.slice();
  bad.fill(0xff, 32, 35);
  assert.throws(() => responder.read(bad), /out of range/);
  responder.read(message);
});

test('a zero Diffie-Hellman result ends the handshake (R-5.1.6)', () => {
  const responder = new Handshake({
    pattern: 'IK', initiator: false, prologue: EMPTY, s: dhKeyPair(),
  });
  assert.throws(() => responder.read(new Uint8Array(96)), /zero|invalid/i);
});
