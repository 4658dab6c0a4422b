// tests/vectors/protocol and tests/vectors/cpace: what this protocol's own vectors say (protocol.md 15).

import assert from 'node:assert/strict';
import test from 'node:test';
import { hex, readU64, unhex } from '../src/bytes.mjs';
import {
  STEPS, comparisonInput, confirmations, generator, normalisePhrase, readStep, share, writeStep,
} from '../src/comparison.mjs';
import { CODES } from '../src/errors.mjs';
import {
  issueRevocation, issueSuccession, parseCertificate, parseLink, parsePeerId, parseRevocationText,
  peerId, readRevocation, readSuccession, revocationText, safetyNumber, writeLink,
} from '../src/identity.mjs';
import { LEDGER_START, compareLedger, countMessage, helloLedger, newLedger } from '../src/ledger.mjs';
import { MESSAGE_KINDS, readMessage } from '../src/messages.mjs';
import { LowOrderError, edPublic } from '../src/primitives.mjs';
import { acknowledge, fits, parseHello } from '../src/session.mjs';
import {
  issueStatementKey, readStatement, readStatementFile, readStatementKey, writeStatement,
} from '../src/statements.mjs';
import { unpad } from '../src/transport.mjs';
import { unpadPayload } from '../src/connection.mjs';
import { vector } from './support.mjs';

const CLOCK = 1_790_000_000_000; // of all certificates (15)

/** Each refused input of a file goes to its reader; those of others are left to other tests. */
function refuseAll(file, readers) {
  const { refused } = vector(`protocol/${file}.json`);
  for (const { name, reader, input, error } of refused) {
    assert.ok(reader in readers, `${name}: no reader ${reader}`);
    const expected = CODES[error] === undefined ? Error : { code: CODES[error] };
    assert.throws(() => readers[reader](input), expected, name);
  }
}

const cases = (file, name) =>
  vector(`protocol/${file}.json`).cases.filter((each) => each.name.startsWith(name));

test('identity.json', () => {
  for (const v of cases('identity', 'peer id')) {
    assert.equal(peerId(edPublic(unhex(v.identity_seed))), v.peer_id);
  }
  for (const v of cases('identity', 'certificate')) {
    const read = parseCertificate(unhex(v.certificate), CLOCK);
    assert.deepEqual([hex(read.staticPub), read.generation], [v.static, v.generation]);
  }
  for (const v of cases('identity', 'link')) {
    const link = { identity: unhex(v.identity), name: v.own_name, addresses: v.addresses };
    assert.equal(writeLink(link), v.link);
    assert.deepEqual(parseLink(v.link), link);
  }
  for (const v of cases('identity', 'safety number')) {
    assert.equal(safetyNumber(...v.identities.map(unhex)), v.number);
  }
  for (const v of cases('identity', 'revocation')) {
    const revocation = issueRevocation(unhex(v.identity_seed));
    assert.deepEqual([hex(revocation), revocationText(revocation)], [v.revocation, v.text]);
    assert.equal(hex(readRevocation(revocation)), v.identity);
    assert.deepEqual(parseRevocationText(` ${v.text}\n`), revocation);
  }
  for (const v of cases('identity', 'succession')) {
    const succession = issueSuccession(unhex(v.old_seed), unhex(v.new_seed), v.at_ms);
    assert.equal(hex(succession), v.succession);
    const { old, successor } = readSuccession(succession);
    assert.deepEqual([hex(old), hex(successor)], [v.old, v.new]);
  }
  refuseAll('identity', {
    'peer id': parsePeerId,
    certificate: (input) => parseCertificate(unhex(input), CLOCK),
    link: parseLink,
    comparison: (input) => {
      const ours = safetyNumber(...cases('identity', 'safety number')[0].identities.map(unhex));
      if (input.replace(/\s/g, '') !== ours.replace(/\s/g, '')) throw new TypeError('another number');
    },
    revocation: (input) => readRevocation(unhex(input)),
    'revocation text': parseRevocationText,
    succession: (input) => readSuccession(unhex(input)),
  });
});

test('greeting.json', () => {
  const peer = edPublic(new Uint8Array(32));
  for (const v of cases('greeting', 'HELLO')) {
    const hello = parseHello(unhex(v.body), peer);
    assert.deepEqual([hello.accepted, hello.name ?? '', hello.note ?? ''], [v.accepted, v.own_name, v.note]);
    assert.deepEqual(hello.kinds ?? [], v.kinds);
    assert.equal(hello.recovered === undefined ? undefined : Number(hello.recovered), v.recovered);
    for (const name of ['session', 'ledger']) {
      const plain = hello[name] && Object.fromEntries(Object.entries(hello[name]).map(
        ([key, value]) => [key, typeof value === 'bigint' ? Number(value) : hex(value)],
      ));
      assert.deepEqual(plain ?? null, v[name], v.name);
    }
  }
  refuseAll('greeting', { HELLO: (input) => parseHello(unhex(input), peer) });
});

test('messages.json', () => {
  assert.deepEqual(MESSAGE_KINDS, cases('greeting', 'HELLO: accepted, with the kinds')[0].kinds);
  for (const { name, content, ...v } of cases('messages', '')) {
    const { unknown = false, signed, ...message } = readMessage(unhex(content));
    assert.deepEqual(message, v, name);
    assert.equal(unknown, /not known is stored/.test(name), name);
  }
  refuseAll('messages', { message: (input) => readMessage(unhex(input)) });
});

test('statements.json', () => {
  const [key] = cases('statements', 'certificate');
  const certificate = issueStatementKey(
    unhex(key.identity_seed), edPublic(unhex(key.statement_seed)), key.not_before_ms,
  );
  assert.equal(hex(certificate), key.certificate);
  for (const v of cases('statements', 'statement')) {
    const signed = writeStatement({
      certificate, statementSeed: unhex(key.statement_seed), recipient: unhex(v.recipient), at: v.at_ms,
      text: v.text,
    });
    assert.equal(hex(signed), v.signed, v.name);
    const read = readStatement(signed);
    assert.deepEqual([hex(read.recipient), read.at, read.text], [v.recipient, v.at_ms, v.text]);
  }
  readStatementFile(cases('statements', 'file')[0].file);
  refuseAll('statements', {
    'statement key': (input) => readStatementKey(unhex(input)),
    statement: (input) => readStatement(unhex(input)),
    file: readStatementFile,
  });
});

test('comparison.json, and the draft\'s own vectors', () => {
  for (const v of cases('comparison', 'phrase')) {
    assert.equal(hex(normalisePhrase(v.typed)), v.phrase, v.name);
  }
  for (const v of cases('comparison', 'comparison')) {
    const [asker, answerer, h, run] = [v.asker, v.answerer, v.handshake_hash, v.run].map(unhex);
    const ci = comparisonInput(asker, answerer);
    const sid = unhex(v.handshake_hash + v.run);
    assert.deepEqual([hex(ci), hex(sid)], [v.ci, v.sid]);
    const g = generator(unhex(v.asker_phrase), ci, sid);
    assert.equal(hex(g), v.asker_g);
    const ya = share(unhex(v.ya), g);
    const yb = share(unhex(v.yb), generator(unhex(v.answerer_phrase), ci, sid));
    const common = { ya, yb, sid, ada: Buffer.from('asker'), adb: Buffer.from('answerer') };
    const a = confirmations({ ...common, secret: unhex(v.ya), theirs: yb });
    const b = confirmations({ ...common, secret: unhex(v.yb), theirs: ya });
    assert.deepEqual([hex(a.k), hex(a.isk)], [v.asker_k, v.asker_isk]);
    const same = hex(a.ta) === hex(b.ta);
    assert.equal(same, v.asker_phrase === v.answerer_phrase);
    const steps = [
      [asker, { step: STEPS.ASK, payload: ya }], [answerer, { step: STEPS.SHARE, payload: yb }],
      [asker, { step: STEPS.CONFIRM, payload: a.ta }],
      [answerer, same ? { step: STEPS.CONFIRM, payload: b.tb } : { step: STEPS.DIFFER }],
    ];
    assert.deepEqual(steps.map(([by, step]) => hex(writeStep({ run, ...step }, h, by))), v.messages);
  }
  refuseAll('comparison', { phrase: normalisePhrase, COMPARE: (input) => readStep(unhex(input)) });
  const { run, points } = vector('cpace/x25519_sha512.json');
  const g = generator(unhex(run.PRS), unhex(run.CI), unhex(run.sid));
  assert.equal(hex(g), run.g);
  const { k, isk } = confirmations({
    secret: unhex(run.ya), theirs: unhex(run.Yb), ya: unhex(run.Ya), yb: unhex(run.Yb),
    sid: unhex(run.sid), ada: unhex(run.ADa), adb: unhex(run.ADb),
  });
  assert.deepEqual([hex(k), hex(isk)], [run.K, run.ISK_IR]);
  for (const { u, q } of points.products) {
    if (/^0+$/.test(q)) assert.throws(() => share(unhex(points.s), unhex(u)), LowOrderError);
    else assert.equal(hex(share(unhex(points.s), unhex(u))), q);
  }
});

test('session.json: the ledger, agreement, acknowledgements', () => {
  const [v] = cases('session', 'ledger');
  const { sent: chain } = newLedger();
  assert.equal(hex(LEDGER_START), v.digests[0]);
  for (const id of v.message_ids) countMessage(chain, id);
  assert.deepEqual(chain.digests.map(hex), v.digests);
  for (const { name, ours, theirs, find, then } of cases('session', 'ledgers: ')) {
    const ledger = newLedger();
    for (const direction of ['sent', 'received']) {
      for (const id of ours[direction]) countMessage(ledger[direction], id);
    }
    const account = Object.fromEntries(Object.entries(theirs).map(
      ([key, value]) => [key, typeof value === 'string' ? unhex(value) : BigInt(value)],
    ));
    const found = compareLedger(ledger, account, ours.waiting);
    const counted = (what) => found.find((each) => each.what === what) ?? { count: 0, ids: [] };
    assert.deepEqual({
      lost_here: counted('lost by us').count,
      sent_elsewhere: counted('unknown to us').count,
      lost_there: counted('lost by the peer').count,
      lost_there_ids: counted('lost by the peer').ids,
      forked: found.some(({ what }) => what === 'forked'),
    }, find, name);
    assert.deepEqual(Object.fromEntries(Object.entries(helloLedger(ledger)).map(
      ([key, value]) => [key, typeof value === 'number' ? value : hex(value)],
    )), then, name);
  }
  const state = ({ session_id: id, digests_of_sent: digests, ...ours }) => ({
    id: unhex(id), sent: ours.sent, received: ours.received, acked: ours.acknowledged,
    digestAcked: unhex(digests[ours.acknowledged]),
    unacked: Object.entries(digests).slice(1).map(([index, digest]) => ({
      index: Number(index), digest: unhex(digest), messageId: null,
    })),
  });
  for (const { name, ours, theirs, say } of cases('session', 'agreement')) {
    const peer = {
      id: unhex(theirs.id), sent: BigInt(theirs.sent), received: BigInt(theirs.received),
      digest: unhex(theirs.digest),
    };
    assert.equal(fits(state(ours), peer) ? 'RESUME' : 'RESET', say, name);
  }
  const [{ ours }] = cases('session', 'agreement');
  refuseAll('session', {
    ACK: (input) => acknowledge({ session: state(ours) }, Number(readU64(unhex(input))), CLOCK),
  });
});

test('transport.json: padding', () => {
  const { refused } = vector('protocol/transport.json');
  for (const { name, reader, input } of refused) {
    const read = { plaintext: unpad, 'handshake payload': unpadPayload }[reader];
    if (read) assert.throws(() => read(unhex(input)), { code: 1 }, name);
  }
});
