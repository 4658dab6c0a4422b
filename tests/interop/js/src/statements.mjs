// Statements: what somebody signed for somebody, for good (protocol.md 9.4).

import { concat, equal, readU64, text as decodeText, u64, u8, utf8 } from './bytes.mjs';
import { LIMITS } from './errors.mjs';
import { parsePeerId } from './identity.mjs';
import { edPublic, edSign, edVerify } from './primitives.mjs';

const KEY_LABEL = utf8('p2pchat/1 statement key certificate\0');
const LABEL = utf8('p2pchat/1 statement\0');
const KEY_BYTES = 145;

const refuse = (reason) => {
  throw new TypeError(`no statement: ${reason}`);
};

/** The certificate of a statement key, 145 B. */
export function issueStatementKey(identitySeed, statementPub, notBefore) {
  const body = concat(
    u8(1), edPublic(identitySeed), statementPub, u64(notBefore),
    u64(notBefore + LIMITS.statementKeyLifetimeMs),
  );
  return concat(body, edSign(identitySeed, concat(KEY_LABEL, body)));
}

/** */
export function readStatementKey(bytes) {
  if (bytes.length !== KEY_BYTES || bytes[0] !== 1) refuse('its key has no certificate of format 1');
  const identity = bytes.slice(1, 33);
  if (!edVerify(identity, concat(KEY_LABEL, bytes.slice(0, 81)), bytes.slice(81))) {
    refuse('the signature of its key\'s certificate');
  }
  const [notBefore, notAfter] = [readU64(bytes, 65), readU64(bytes, 73)];
  if (notAfter <= notBefore) refuse('its key ends before it begins');
  return { identity, key: bytes.slice(33, 65), notBefore, notAfter };
}

export function writeStatement({ certificate, statementSeed, recipient, at, text }) {
  const body = concat(u8(1), certificate.slice(1, 33), recipient, u64(at), utf8(text));
  return concat(certificate, body, edSign(statementSeed, concat(LABEL, body)));
}

/** */
export function readStatement(bytes) {
  if (bytes.length < LIMITS.statementMin || bytes.length > LIMITS.statementMax) refuse('its length');
  const { identity, key, notBefore, notAfter } = readStatementKey(bytes.slice(0, KEY_BYTES));
  const body = bytes.slice(KEY_BYTES, -64);
  if (body[0] !== 1) refuse('its format');
  const signer = body.slice(1, 33);
  if (!equal(signer, identity)) refuse('another signer than its key\'s owner');
  if (!edVerify(key, concat(LABEL, body), bytes.slice(-64))) refuse('its signature');
  const at = readU64(body, 65);
  if (at < notBefore || at > notAfter || at > LIMITS.timeMax) refuse('its time');
  return { signer, recipient: body.slice(33, 65), at: Number(at), text: decodeText(body.slice(73)) };
}

/** The text of a statement that `signer` made for `recipient`, or null. */
export function statementText(bytes, signer, recipient) {
  try {
    const statement = readStatement(bytes);
    const fits = equal(statement.signer, signer) && equal(statement.recipient, recipient);
    return fits ? statement.text : null;
  } catch (error) {
    if (error instanceof TypeError) return null;
    throw error;
  }
}

/** */
export function readStatementFile(file) {
  let object;
  try {
    object = JSON.parse(file);
  } catch {
    return refuse('no JSON');
  }
  const names = ['at_ms', 'recipient', 'signed', 'signer', 'text', 'what'];
  if (Object.keys(object ?? {}).sort().join() !== names.join()) refuse('its fields');
  if (object.what !== 'p2pchat statement') refuse('what it is');
  const signed = Buffer.from(String(object.signed), 'base64');
  if (signed.toString('base64') !== object.signed) refuse('its base64');
  const statement = readStatement(Uint8Array.from(signed));
  if (!equal(parsePeerId(object.signer), statement.signer)
      || !equal(parsePeerId(object.recipient), statement.recipient)
      || object.at_ms !== statement.at || object.text !== statement.text) refuse('another content');
  return statement;
}
