// Error codes (protocol.md 12) and limits (protocol.md 11).

export const CODES = Object.freeze({
  NORMAL: 0x0000,
  PROTOCOL_VIOLATION: 0x0001,
  UNSUPPORTED_VERSION: 0x0002,
  HANDSHAKE_FAILED: 0x0003,
  CERTIFICATE_INVALID: 0x0004,
  WRONG_IDENTITY: 0x0005,
  DOWNGRADE_DETECTED: 0x0006,
  LIMIT_EXCEEDED: 0x0007,
  TIMEOUT: 0x0008,
  SUPERSEDED: 0x0009,
  SESSION_BROKEN: 0x000a,
  GOING_AWAY: 0x000b,
  INTERNAL: 0x000c,
  TRUNCATED: 0x000d,
  KEY_REVOKED: 0x000e,
});

const NAMES = new Map(Object.entries(CODES).map(([name, code]) => [code, name]));

/** A code's name; an unknown code counts as PROTOCOL_VIOLATION (12). */
export const codeName = (code) => NAMES.get(code) ?? 'PROTOCOL_VIOLATION';

/** A refusal: the connection ends with `code`. */
export class Refusal extends Error {
  constructor(codeName_, reason) {
    super(`${codeName_}: ${reason}`);
    this.name = 'Refusal';
    this.code = CODES[codeName_];
    this.reason = reason;
  }
}

export const LIMITS = Object.freeze({
  frame: 65535,
  plaintext: 65519,
  offer: 512,
  handshakePadding: 512,
  handshakeMap: 2048,
  greeting: 2048,
  nameBytes: 64,
  noteChars: 280,
  textBytes: 65536,
  contentBytes: 69632,
  envelopeMin: 1270,
  envelopeMax: 73728,
  window: 256,
  rekeyFrames: 1024,
  rekeyTolerated: 2048,
  rekeyMs: 600_000,
  handshakeMs: 10_000,
  keepaliveMs: 15_000,
  silenceMs: 45_000,
  certificateLifetimeMs: 7_776_000_000,
  clockSkewMs: 604_800_000,
  staticOverlapMs: 1_209_600_000,
  noticeBytes: 1024,
  kindChars: 32,
  timeMax: 2n ** 53n - 1n,
  countMax: 2n ** 63n - 1n,
  reactionBytes: 64,
  timerMin: 5n,
  timerMax: 31_536_000n,
  editWindowMs: 86_400_000,
  statementMin: 283,
  statementMax: 65_818,
  statementKeyLifetimeMs: 31_536_000_000,
  phraseChars: 4,
  phraseBytes: 256,
  compareTries: 3,
  compareMs: 300_000,
  ledgerEvery: 500,
  typingMs: 3_000,
  typingShownMs: 6_000,
});
