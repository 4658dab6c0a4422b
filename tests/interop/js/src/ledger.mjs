// The ledger: what was said over all sessions (protocol.md 8.6).
//
// A chain is kept with its past as far as it is known: `digests[i]` is L at `base + i`, and `ids[i]`
// the message that led from there to the next. Whoever goes on from the peer's chain knows no past.

import { equal, hex, unhex, utf8 } from './bytes.mjs';
import { sha256 } from './primitives.mjs';

const LABEL = utf8('p2pchat/1 ledger');

export const LEDGER_START = sha256(LABEL);

export const ledgerNext = (digest, id) => sha256(LABEL, digest, id);

const chainFrom = (base, digest) => ({ base, digests: [digest], ids: [] });

/** `unsure`: we went on from the peer's chain while messages of ours waited. */
export const newLedger = () => ({
  sent: chainFrom(0, LEDGER_START), received: chainFrom(0, LEDGER_START), unsure: false, told: [],
});

const count = (chain) => chain.base + chain.ids.length;
const digest = (chain) => chain.digests.at(-1);
const at = (chain, n) => chain.digests[n - chain.base]; // undefined where it is not known

/** Counts a message with an id in hexadecimal. */
export function countMessage(chain, id) {
  chain.ids.push(id);
  chain.digests.push(ledgerNext(digest(chain), unhex(id)));
}

/** As a backup that is put back would (for tests). */
export function forgetLast(chain) {
  chain.ids.pop();
  if (chain.digests.length > 1) chain.digests.pop();
}

/** What a HELLO says. */
export function helloLedger({ sent, received, unsure }) {
  const [n, ours] = unsure ? [0, LEDGER_START] : [count(sent), digest(sent)];
  return {
    sent: n, sent_digest: ours, received: count(received), received_digest: digest(received),
  };
}

/** Our `sent` chain for a LEDGER notice, or null while we do not know it. */
export const noticeLedger = ({ sent, unsure }) => (
  unsure ? null : { count: count(sent), digest: digest(sent) }
);

/**
 * Compares with the peer's account; gives the differences that the person is to be told of.
 * `waiting` are the ids of our messages that are not acknowledged, in order.
 */
export function compareLedger(ledger, theirs, waiting) {
  return [
    ...compareSent(ledger, Number(theirs.received), theirs.received_digest, waiting),
    ...compareReceived(ledger, Number(theirs.sent), theirs.sent_digest),
  ];
}

/** */
function compareSent(ledger, m, theirs, waiting) {
  const chain = ledger.sent;
  const n = count(chain);
  const goOn = () => {
    ledger.sent = chainFrom(m, theirs);
    ledger.unsure = waiting.length > 0;
  };
  if (ledger.unsure) {
    goOn(); // in silence
    return [];
  }
  if (m === n && equal(theirs, digest(chain))) return [];
  if (m < n) {
    const lost = chain.ids.slice(Math.max(0, m - chain.base));
    const known = at(chain, m);
    const found = [{ direction: 'sent', what: 'lost by the peer', count: n - m, ids: lost }];
    if (known && !equal(known, theirs)) {
      found.push({ direction: 'sent', what: 'forked', count: 0, ids: [] });
    }
    return once(ledger, found, m, theirs);
  }
  const first = waiting.slice(0, m - n);
  if (first.length === m - n && m > n
      && equal(theirs, first.reduce((sum, id) => ledgerNext(sum, unhex(id)), digest(chain)))) {
    return []; // their acknowledgements are under way
  }
  goOn();
  return [{ direction: 'sent', what: m === n ? 'forked' : 'unknown to us', count: m - n, ids: [] }];
}

/** */
function compareReceived(ledger, m, theirs) {
  const chain = ledger.received;
  const n = count(chain);
  if (m > n) {
    ledger.received = chainFrom(m, theirs);
    return [{ direction: 'received', what: 'lost by us', count: m - n, ids: [] }];
  }
  return checkReceived(ledger, m, theirs);
}

/** Whether our past of what we received has the peer's digest at m; also for LEDGER. */
export function checkReceived(ledger, m, theirs) {
  const known = at(ledger.received, m);
  if (!known || equal(known, theirs)) return [];
  return once(ledger, [{ direction: 'received', what: 'forked', count: 0, ids: [] }], m, theirs);
}

/** Differences that the person was not told of yet. */
function once(ledger, found, m, theirs) {
  const key = `${found[0].direction} ${found[0].what} ${m} ${hex(theirs)}`;
  if (ledger.told.includes(key)) return [];
  ledger.told.push(key);
  return found;
}
