// protocol.md 3 and 4.2 to 4.3, and the strict msgpack of 9.1.

import assert from 'node:assert/strict';
import test from 'node:test';
import { concat, equal, hex, unhex, utf8 } from '../src/bytes.mjs';
import {
  issueCertificate, newIdentity, parseCertificate, parseLink, parsePeerId, peerId, safetyDigits,
  safetyNumber, writeLink,
} from '../src/identity.mjs';
import { decodeMap, encode, fields, kinds } from '../src/msgpack.mjs';
import { choose, parseOffer, retrySuite, suitesOf, writeOffer } from '../src/negotiation.mjs';
import { dh, edPublic, edVerify, kemDecapsulate, kemKeyPair, random } from '../src/primitives.mjs';
import { vector } from './support.mjs';

test('safety number: libsignal\'s figures (R-3.5.1)', () => {
  const v = vector('libsignal/numeric_fingerprint.json');
  const side = ({ stable_id_utf8: id, identity_key_hex: key }) =>
    ({ id: utf8(id), key: unhex(key) });
  for (const { displayable } of v.vectors.slice(0, 1)) {
    assert.equal(safetyDigits(side(v.alice), side(v.bob)), displayable);
  }
  const [a, b] = [random(32), random(32)];
  assert.equal(safetyNumber(a, b), safetyNumber(b, a));
  assert.match(safetyNumber(a, b), /^(\d{5} ){11}\d{5}$/);
});

test('peer ids (R-3.2.1, R-3.2.2)', () => {
  const identity = random(32);
  const id = peerId(identity);
  assert.match(id, /^[a-z2-7]{56}$/);
  assert.ok(equal(parsePeerId(id), identity));
  assert.throws(() => parsePeerId(id.toUpperCase()));
  assert.throws(() => parsePeerId(id.slice(1)));
  assert.throws(() => parsePeerId((id[0] === 'a' ? 'b' : 'a') + id.slice(1)));
});

test('certificates (R-3.3.1 to R-3.3.4)', () => {
  const now = 1_700_000_000_000;
  const { seed, certificate } = newIdentity(now);
  const refused = (bytes, at = now) =>
    assert.throws(() => parseCertificate(bytes, at), { code: 4 });
  assert.ok(equal(parseCertificate(certificate, now).identity, edPublic(seed)));
  assert.equal(parseCertificate(issueCertificate(seed, random(32), 7, now), now).generation, 7);
  for (const at of [0, 1, 33, 65, 69, 77, 85, 148]) {
    const bad = certificate.slice();
    bad[at] ^= 1;
    refused(bad);
  }
  refused(certificate.slice(1));
  const week = 604_800_000;
  const end = now + 90 * 86_400_000;
  parseCertificate(certificate, now - week);
  refused(certificate, now - week - 1);
  parseCertificate(certificate, end + week);
  refused(certificate, end + week + 1);
});

test('links (R-3.4.2)', () => {
  const link = { identity: random(32), name: 'Zoë', addresses: ['127.0.0.1:1', '[::1]:65535'] };
  const written = writeLink(link);
  assert.deepEqual(parseLink(` ${written}\n`), link);
  assert.throws(() => parseLink(written.slice(0, -1)));
  assert.throws(() => parseLink(`${written}=`));
  assert.throws(() => parseLink(writeLink({ ...link, name: 'a\u202eb' })));
  assert.throws(() => parseLink(writeLink({ ...link, addresses: ['nowhere'] })));
});

test('offers and the choice (R-4.2.3 to R-4.3.2)', () => {
  const all = writeOffer(suitesOf('all'));
  assert.equal(hex(all), '0101000400010002010101' + '0200');
  assert.equal(hex(writeOffer(suitesOf('hybrid'))), '010100020101010200');
  parseOffer(concat(all, Uint8Array.of(1, 2, 3)));
  for (const bad of ['', '01', '0101', '00010001' + '00', '0101000000', '010100020002000100',
    '0101000200010001' + '00', '01010001000101']) {
    assert.throws(() => parseOffer(unhex(bad)), { code: 1 }, bad);
  }
  const [both, classical] = [parseOffer(all), parseOffer(writeOffer(suitesOf('classical')))];
  assert.deepEqual(choose(both, both).suites, [0x0101, 0x0102]);
  assert.equal(retrySuite(choose(both, classical)), 0x0001);
  const hybrid = parseOffer(writeOffer(suitesOf('hybrid')));
  assert.throws(() => choose(classical, hybrid), { code: 2 });
  assert.throws(() => choose(both, { ...both, versions: [0x0200] }), { code: 2 });
  assert.equal(choose({ ...both, versions: [0x0105] }, { ...both, versions: [0x0103] }).minor, 3);
});

test('msgpack (R-9.1.1 to R-9.1.4)', () => {
  const map = decodeMap(encode({ a: 1, b: 'x', c: random(3), d: [1, { e: null }] }), 100);
  assert.equal(map.get('a'), 1n);
  for (const bad of [
    '82a16101a16102', // a repeated key
    '8101a0', // a key that is no string
    '81a161c70100', '81a161d40100', // extension types
    '81a161a1ff', // no UTF-8
    '80c0', '90', '', '81a1', // after the end, no map, too short
    '81a161dc0041' + 'c0'.repeat(65), // an array of 65
    '81a161'.repeat(8) + '80', // nine maps deep
    '81a161df7fffffff',
  ]) assert.throws(() => decodeMap(unhex(bad), 1000), { code: 1 }, bad);
  decodeMap(unhex('81a161'.repeat(7) + '80'), 1000);
  const int = { n: kinds.int(5n) };
  assert.throws(() => fields(decodeMap(encode({ n: true }), 9), int), { code: 1 });
  assert.throws(() => fields(decodeMap(unhex('81a16eca3f800000'), 9), int), { code: 1 });
  assert.throws(() => fields(decodeMap(encode({ n: 1, '!x': 1 }), 9), int), { code: 1 });
  assert.throws(() => fields(decodeMap(encode({}), 9), int), { code: 1 });
  assert.deepEqual(fields(decodeMap(encode({ n: 1, x: 1 }), 9), int), { n: 1n });
});

test('Wycheproof: X25519, Ed25519, ML-KEM', () => {
  const each = (file, check) => {
    for (const group of vector(`wycheproof/${file}.json`).testGroups) {
      for (const t of group.tests) check(t, group);
    }
  };
  each('x25519_test', (t) => {
    let shared = null;
    try {
      shared = hex(dh(unhex(t.private), unhex(t.public)));
    } catch { /* a zero result */ }
    if (/^0+$/.test(t.shared)) assert.equal(shared, null, `${t.tcId}`);
    else assert.equal(shared, t.shared, `${t.tcId}`);
  });
  each('ed25519_test', (t, group) => {
    const valid = edVerify(unhex(group.publicKey.pk), unhex(t.msg), unhex(t.sig));
    assert.equal(valid, t.result === 'valid', `${t.tcId}`);
  });
  each('mlkem_768_test.subset', (t) => {
    if (t.result !== 'valid' || !t.seed) return;
    assert.equal(hex(kemDecapsulate(kemKeyPair(unhex(t.seed)).dk, unhex(t.c))), t.K);
  });
});
