// Preamble, offers, and the choice that both sides compute (protocol.md 4.2, 4.3).

import { concat, equal, readU16, u16, u8, utf8 } from './bytes.mjs';
import { LIMITS, Refusal } from './errors.mjs';

export const MAGIC = concat(utf8('p2pchat'), u8(0x0a));
export const PREAMBLE_FIXED = 12;

export const SUITES = Object.freeze({ XX: 0x0001, IK: 0x0002, XXhfs: 0x0101, IKhfs: 0x0102 });
const PATTERN_OF = new Map(Object.entries(SUITES).map(([name, suite]) => [suite, name]));

export const patternOf = (suite) => PATTERN_OF.get(suite);
export const isKnown = (suite) => PATTERN_OF.has(suite);
export const isIK = (suite) => patternOf(suite)?.startsWith('IK') ?? false;
export const classOf = (suite) => suite >> 8;
export const isHybrid = (suite) => classOf(suite) === 1;

const ALL = [SUITES.XX, SUITES.IK, SUITES.XXhfs, SUITES.IKhfs];

/** Suites that one offers: "all", "hybrid" or "classical". */
export const suitesOf = (what) => ALL.filter((suite) =>
  what === 'all' || (what === 'hybrid') === isHybrid(suite));

export function writeOffer(suites) {
  return concat(
    u8(1), u8(1), u8(0), u8(suites.length), ...suites.map(u16), u8(0),
  );
}

/** An offer's lists. */
export function parseOffer(bytes) {
  const refuse = (reason) => {
    throw new Refusal('PROTOCOL_VIOLATION', `offer: ${reason}`);
  };
  if (bytes.length > LIMITS.offer) throw new Refusal('LIMIT_EXCEEDED', 'the offer is too long');
  let at = 0;
  const list = () => {
    if (at >= bytes.length) refuse('it ends too early');
    const count = bytes[at];
    at += 1;
    if (at + 2 * count > bytes.length) refuse('it ends too early');
    const out = Array.from({ length: count }, (_, i) => readU16(bytes, at + 2 * i));
    at += 2 * count;
    if (out.some((value, i) => i > 0 && value <= out[i - 1])) refuse('not ascending');
    return out;
  };
  const versions = list();
  const suites = list();
  const features = list();
  if (versions.length === 0 || suites.length === 0) refuse('an empty list');
  return { versions, suites, features };
}

/** */
export function choose(ours, theirs) {
  const refuse = () => {
    throw new Refusal('UNSUPPORTED_VERSION', 'nothing in common');
  };
  const minor = (offer, major) =>
    Math.max(...offer.versions.filter((v) => v >> 8 === major).map((v) => v & 0xff));
  const majors = ours.versions.map((v) => v >> 8)
    .filter((major) => theirs.versions.some((v) => v >> 8 === major));
  const common = ours.suites.filter((suite) => theirs.suites.includes(suite));
  if (majors.length === 0 || common.length === 0) refuse();
  const major = Math.max(...majors);
  const greatest = Math.max(...common.map(classOf));
  return {
    major,
    minor: Math.min(minor(ours, major), minor(theirs, major)),
    suites: common.filter((suite) => classOf(suite) === greatest),
    features: ours.features.filter((feature) => theirs.features.includes(feature)),
  };
}

/** The XX suite of the greatest common class, or undefined. */
export const retrySuite = (choice) => choice.suites.find((suite) => !isIK(suite) && isKnown(suite));

export const writePreamble = (suite, offer) =>
  concat(MAGIC, u16(suite), u16(offer.length), offer);

/** Whether the first bytes can still become the magic. */
export const magicFits = (bytes) => {
  const length = Math.min(bytes.length, MAGIC.length);
  return equal(bytes.subarray(0, length), MAGIC.subarray(0, length));
};
