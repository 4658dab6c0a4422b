// One connection, without input or output (protocol.md 4 to 8).
//
// Bytes of the peer go into `receive`; bytes for the peer come out of `io.write`, and `io.end` ends
// the stream. `io.emit` tells what happened. `tick` is called now and then for time limits.
//
// Each call from outside is one unit: what it changed is stored first, in one write of the profile,
// then its bytes leave, then its events are told. So no envelope leaves before the ratchet's state is
// stored, and no acknowledgement before the message.

import { EMPTY, concat, equal, isZero, readU16, readU64, u16, u64, u8, unhex } from './bytes.mjs';
import { CODES, LIMITS, Refusal, codeName } from './errors.mjs';
import { parseCertificate, peerId } from './identity.mjs';
import { expire } from './conversation.mjs';
import { compareLedger, helloLedger } from './ledger.mjs';
import { decodeMap, encode, fields, kinds } from './msgpack.mjs';
import {
  MAGIC, PREAMBLE_FIXED, SUITES, choose, isHybrid, isIK, isKnown, magicFits, parseOffer, patternOf,
  retrySuite, suitesOf, writeOffer, writePreamble,
} from './negotiation.mjs';
import { Handshake } from './noise.mjs';
import { Notices } from './notices.mjs';
import { LowOrderError, dhKeyPair, random, sha256 } from './primitives.mjs';
import {
  acknowledge, dropSession, envelopeParts, fits, helloSession, newSession, parseHello, queueMessage,
  receiveEnvelope, sealGreeting, sealWaiting, writeHello,
} from './session.mjs';
import { statementText } from './statements.mjs';
import { KINDS, Receiver, Sender, kindName } from './transport.mjs';

const CLEAR = Object.freeze({ NOISE: 0x01, RETRY: 0x02, REFUSE: 0x03 });

const TRANSPORT_STATES = new Set(['AWAIT_CONFIRMATION', 'GREETING', 'PENDING', 'SYNCING', 'OPEN']);

/** A handshake payload. */
export function padPayload(map) {
  const bytes = encode(map);
  const total = Math.ceil((2 + bytes.length) / LIMITS.handshakePadding) * LIMITS.handshakePadding;
  return concat(u16(bytes.length), bytes, new Uint8Array(total - 2 - bytes.length));
}

/** Its map; only the peer itself can have written a payload that does not fit. */
export function unpadPayload(payload) {
  const refuse = (reason) => {
    throw new Refusal('PROTOCOL_VIOLATION', `payload: ${reason}`);
  };
  if (payload.length === 0 || payload.length % LIMITS.handshakePadding !== 0) refuse('its size');
  const length = readU16(payload);
  if (2 + length > payload.length) refuse('a length beyond it');
  if (!isZero(payload.subarray(2 + length))) refuse('padding that is not zero');
  return decodeMap(payload.subarray(2, 2 + length), LIMITS.handshakeMap);
}

export class Connection {
  /**
   * @param options.initiator whether this side dialled
   * @param options.profile our identity and contacts
   * @param options.offer "all", "hybrid" or "classical": the suites that we offer
   * @param options.expected identity of the contact that was dialled, if known
   * @param options.suite name of the suite to begin with (initiator), instead of the best one
   * @param options.accept whether we accept any peer at once; otherwise `accept()` does it later
   * @param options.staleStatic a static key to use for IK in place of the certificate's (for tests)
   */
  constructor({
    initiator, profile, io, offer = 'all', expected = null, suite = null, staleStatic = null,
    accept = true, now = Date.now,
  }) {
    Object.assign(this, { initiator, profile, io, expected, staleStatic, now });
    this.forcedSuite = suite;
    this.offerKind = offer;
    this.state = initiator ? 'IDLE' : 'AWAIT_PREAMBLE';
    this.input = EMPTY;
    this.startedAt = now();
    this.stageAt = this.startedAt;
    this.sentAt = this.startedAt;
    this.receivedAt = this.startedAt;
    this.contact = null;
    this.notices = null;
    this.certificate = profile.certificate; // the one that we present
    this.accepted = (accept || initiator) && !profile.revocation;
    this.peerAccepted = false;
    this.parts = [];
    this.partsLength = 0;
    this.depth = 0;
    this.changed = false;
    this.output = [];
    this.events = [];
    this.ended = false;
  }

  /** Runs `body` as one unit. */
  #unit(body) {
    this.depth += 1;
    let result;
    try {
      result = body();
    } finally {
      this.depth -= 1;
      if (this.depth === 0) this.#finishUnit();
    }
    return result;
  }

  #finishUnit() {
    if (this.changed) this.profile.save();
    this.changed = false;
    const output = this.output.splice(0);
    if (output.length > 0) this.io.write(concat(...output));
    const events = this.events.splice(0);
    if (this.state === 'CLOSED' && !this.ended) {
      this.ended = true;
      this.io.end();
    }
    if (events.length === 0) return;
    this.#unit(() => { // what is said to all of them is stored in one write
      for (const event of events) this.io.emit(event);
    });
  }

  #emit(event) {
    this.events.push(event);
  }

  // ------------------------------------------------------------------ local actions

  /** The initiator's first bytes (4.2). */
  start() {
    this.#unit(() => this.#start());
  }

  #start() {
    const known = this.expected && this.profile.known(this.expected);
    if (known?.revoked) throw new Error('this identity is revoked (R-3.7.4)');
    if (known?.hybrid) {
      if (this.offerKind === 'classical') {
        throw new Error('this contact has spoken a hybrid suite; less is refused (R-4.3.6)');
      }
      this.offerKind = 'hybrid';
    }
    this.offer = writeOffer(suitesOf(this.offerKind));
    const classical = this.offerKind === 'classical';
    const ikStatic = this.staleStatic
      ?? (known?.certificate ? known.certificate.slice(33, 65) : null);
    const pattern = this.forcedSuite
      ?? `${ikStatic ? 'IK' : 'XX'}${classical ? '' : 'hfs'}`;
    this.suite = SUITES[pattern];
    if (!suitesOf(this.offerKind).includes(this.suite)) {
      throw new Error('a suite that is not offered (R-4.2.5)');
    }
    this.preamble = writePreamble(this.suite, this.offer);
    this.prologue = this.preamble;
    this.#beginHandshake({ rs: isIK(this.suite) ? ikStatic : null });
    this.output.push(this.preamble);
    this.#sendMessage1();
    this.state = 'AWAIT_MESSAGE_2';
  }

  /** Queues a message for the peer of this connection; it leaves when the session is open. */
  send(message) {
    return this.#unit(() => {
      if (this.profile.revocation) throw new Error('our own identity is revoked (R-3.7.5)');
      const id = queueMessage(this.contact, message, this.now());
      this.#flush();
      return id;
    });
  }

  sendText(body) {
    return this.send({ t: 'text', body });
  }

  /** Does something about notices, such as `(notices) => notices.tellLedger()`, once they may be sent. */
  notify(action) {
    if (!['PENDING', 'SYNCING', 'OPEN'].includes(this.state)) return;
    this.#unit(() => action(this.notices));
  }

  /** Seals and sends what waits in the contact's outbox. */
  flush() {
    this.#unit(() => this.#flush());
  }

  #flush() {
    this.changed = true;
    if (this.state !== 'OPEN' || this.profile.revocation) return;
    for (const entry of sealWaiting(this.contact)) this.#sendEnvelope(entry);
  }

  /** Accepts a peer that was greeted without it. */
  accept() {
    if (this.accepted || !this.contact || this.state === 'CLOSED' || this.profile.revocation) return;
    this.#unit(() => {
      this.accepted = true;
      this.#sendHello();
      this.#syncIfAccepted();
    });
  }

  /** Ends the connection with a code. */
  close(code = CODES.NORMAL, reason = 'closed here') {
    if (this.state === 'CLOSED') return;
    this.#unit(() => {
      if (this.sender) this.#sendFrame(KINDS.CLOSE, u16(code));
      this.#closed(code, reason, 'self');
    });
  }

  /** The peer ended the byte stream. */
  eof() {
    if (this.state === 'CLOSED') return;
    this.#unit(() => this.#closed(CODES.TRUNCATED, 'no CLOSE', 'peer'));
  }

  /** Time limits (7.4). */
  tick() {
    if (this.state !== 'CLOSED') this.#unit(() => this.#tick(this.now()));
  }

  #tick(now) {
    const waiting = !['PENDING', 'OPEN'].includes(this.state);
    if (waiting && now - this.stageAt > LIMITS.handshakeMs) {
      this.#fail(new Refusal('TIMEOUT', `in ${this.state}`));
    } else if (!waiting && now - this.receivedAt > LIMITS.silenceMs) {
      this.#fail(new Refusal('TIMEOUT', 'the peer is silent'));
    } else if (this.sender && this.state !== 'AWAIT_CONFIRMATION'
        && now - this.sentAt >= LIMITS.keepaliveMs) {
      this.#sendFrame(KINDS.PING, random(8));
    }
    if (this.contact === null) return;
    this.notices.tick();
    const gone = expire(this.contact, now);
    for (const id of gone) this.#emit({ event: 'disappeared', id });
    this.changed ||= gone.length > 0;
  }

  // ------------------------------------------------------------------ input

  receive(bytes) {
    if (this.state === 'CLOSED') return;
    this.input = concat(this.input, bytes);
    this.#unit(() => this.#input());
  }

  #input() {
    try {
      if (this.state === 'AWAIT_PREAMBLE' && !this.#takePreamble()) return;
      while (this.state !== 'CLOSED') {
        if (this.input.length < 2) return;
        const length = readU16(this.input);
        if (length === 0) throw new Refusal('PROTOCOL_VIOLATION', 'an empty frame');
        if (this.input.length < 2 + length) return;
        const body = this.input.slice(2, 2 + length);
        this.input = this.input.slice(2 + length);
        this.#frame(body);
      }
    } catch (error) {
      this.#fail(error);
    }
  }

  #frame(body) {
    if (TRANSPORT_STATES.has(this.state)) {
      if (this.state === 'AWAIT_CONFIRMATION' && body.length === 3 && body[0] === CLEAR.REFUSE) {
        this.#closed(readU16(body, 1), 'refused', 'peer');
        return;
      }
      const frame = this.receiver.frame(body);
      this.receivedAt = this.now(); // stray bytes keep nobody alive
      this.#transportFrame(frame);
      return;
    }
    const [kind] = body;
    const content = body.slice(1);
    if (kind === CLEAR.NOISE) this.#noise(content);
    else if (kind === CLEAR.RETRY && this.state === 'AWAIT_MESSAGE_2') this.#retryReceived(content);
    else if (kind === CLEAR.REFUSE && this.state !== 'AWAIT_MESSAGE_1' && content.length === 2) {
      this.#closed(readU16(content), 'refused', 'peer');
    } else throw new Refusal('PROTOCOL_VIOLATION', `clear frame ${kind} in ${this.state}`);
  }

  // ------------------------------------------------------------------ negotiation

  #takePreamble() {
    const { input } = this;
    if (!magicFits(input)) {
      this.mute = true;
      throw new Refusal('PROTOCOL_VIOLATION', 'not the magic');
    }
    if (input.length < PREAMBLE_FIXED) return false;
    const length = readU16(input, 10);
    this.mute = true;
    if (length > LIMITS.offer) throw new Refusal('LIMIT_EXCEEDED', 'the offer is too long');
    if (input.length < PREAMBLE_FIXED + length) return false;
    this.preamble = input.slice(0, PREAMBLE_FIXED + length);
    this.input = input.slice(PREAMBLE_FIXED + length);
    this.suite = readU16(input, MAGIC.length);
    const theirs = parseOffer(this.preamble.slice(PREAMBLE_FIXED));
    if (!theirs.suites.includes(this.suite)) {
      throw new Refusal('PROTOCOL_VIOLATION', 'a suite that its sender does not offer');
    }
    this.mute = false;
    this.offer = writeOffer(suitesOf(this.offerKind));
    this.choice = choose(parseOffer(this.offer), theirs);
    this.prologue = this.preamble;
    this.state = 'AWAIT_MESSAGE_1';
    return true;
  }

  #beginHandshake({ rs = null, s = this.profile.staticKey } = {}) {
    this.handshake = new Handshake({
      pattern: patternOf(this.suite),
      initiator: this.initiator,
      prologue: this.prologue,
      s,
      rs,
    });
  }

  #sendMessage1() {
    const payload = isIK(this.suite)
      ? padPayload({ cert: this.certificate, time: this.now() })
      : EMPTY;
    this.message1 = this.handshake.write(payload);
    this.#sendClear(CLEAR.NOISE, this.message1);
  }

  /** */
  #retryReceived(content) {
    if (content.length !== 2) throw new Refusal('PROTOCOL_VIOLATION', 'a RETRY of a wrong length');
    const suite = readU16(content);
    if (!suitesOf(this.offerKind).includes(suite) || isIK(suite) || suite === this.suite) {
      throw new Refusal('PROTOCOL_VIOLATION', 'a RETRY that names a suite it may not');
    }
    this.suite = suite;
    this.prologue = concat(this.preamble, sha256(this.message1), u8(CLEAR.RETRY), u16(suite));
    this.#beginHandshake();
    this.#sendMessage1();
    this.state = 'AWAIT_MESSAGE_2_AGAIN';
    this.#emit({ event: 'retried', suite: patternOf(suite) });
  }

  /** */
  #sendRetry(message) {
    const suite = retrySuite(this.choice);
    if (suite === undefined || suite === this.suite) {
      throw new Refusal('HANDSHAKE_FAILED', 'nothing to retry with');
    }
    this.prologue = concat(this.preamble, sha256(message), u8(CLEAR.RETRY), u16(suite));
    this.suite = suite;
    this.#sendClear(CLEAR.RETRY, u16(suite));
    this.state = 'AWAIT_MESSAGE_1_AGAIN';
    this.#emit({ event: 'retry_sent', suite: patternOf(suite) });
  }

  // ------------------------------------------------------------------ handshake

  #noise(message) {
    switch (this.state) {
      case 'AWAIT_MESSAGE_1': return this.#message1(message);
      case 'AWAIT_MESSAGE_1_AGAIN': return this.#message1XX(message);
      case 'AWAIT_MESSAGE_2':
      case 'AWAIT_MESSAGE_2_AGAIN': return this.#message2(message);
      case 'AWAIT_MESSAGE_3': return this.#message3(message);
      default: throw new Refusal('PROTOCOL_VIOLATION', `a NOISE frame in ${this.state}`);
    }
  }

  #read(message) {
    try {
      return this.handshake.read(message);
    } catch (error) {
      throw new Refusal('HANDSHAKE_FAILED', error.message);
    }
  }

  #message1(message) {
    if (!this.choice.suites.includes(this.suite) || !isKnown(this.suite)) {
      this.#sendRetry(message);
      return;
    }
    if (!isIK(this.suite)) {
      this.#message1XX(message);
      return;
    }
    const payload = this.#readIK(message);
    if (payload === null) {
      this.#sendRetry(message); // another static key than ours (5.6)
      return;
    }
    const { cert, time } = fields(unpadPayload(payload), {
      cert: kinds.bytes(149), time: kinds.int(2n ** 63n - 1n),
    });
    this.#checkPeer(cert);
    const contact = this.profile.contact(this.peer.identity);
    if (time <= contact.ikTime) {
      this.#sendRetry(message); // a replay, or a clock that was set back
      return;
    }
    if (contact.hybrid && !isHybrid(this.suite)) {
      throw new Refusal('DOWNGRADE_DETECTED', 'this contact has spoken a hybrid suite');
    }
    contact.ikTime = time; // stored before message 2 leaves
    this.changed = true;
    this.#sendMessage2();
    this.#split();
    this.state = 'AWAIT_CONFIRMATION';
  }

  /** Payload of message 1 of IK under the current static key, or the previous one, or null. */
  #readIK(message) {
    const current = { key: this.profile.staticKey, certificate: this.profile.certificate };
    for (const candidate of [current, this.profile.previousKey(this.now())]) {
      if (candidate === null) continue;
      this.#beginHandshake({ s: candidate.key });
      try {
        const payload = this.handshake.read(message);
        this.certificate = candidate.certificate;
        return payload;
      } catch { /* for another key */ }
    }
    return null;
  }

  #message1XX(message) {
    this.certificate = this.profile.certificate;
    this.#beginHandshake();
    const payload = this.#read(message);
    if (payload.length > 0) throw new Refusal('PROTOCOL_VIOLATION', 'a payload in message 1');
    this.#sendMessage2();
    this.state = 'AWAIT_MESSAGE_3';
  }

  #sendMessage2() {
    this.ratchetPair = dhKeyPair();
    const payload = padPayload({
      offer: this.offer, cert: this.certificate, ratchet: this.ratchetPair.pub,
    });
    let message;
    try {
      message = this.handshake.write(payload);
    } catch (error) {
      if (!(error instanceof LowOrderError)) throw error;
      throw new Refusal('HANDSHAKE_FAILED', error.message); // the peer's key in message 1
    }
    this.#sendClear(CLEAR.NOISE, message);
  }

  #message2(message) {
    const { offer, cert, ratchet } = fields(unpadPayload(this.#read(message)), {
      offer: kinds.anyBytes, cert: kinds.bytes(149), ratchet: kinds.bytes(32),
    });
    const choice = choose(parseOffer(this.offer), parseOffer(offer));
    if (!choice.suites.includes(this.suite)) {
      throw new Refusal('DOWNGRADE_DETECTED', 'both sides know better');
    }
    this.#checkPeer(cert);
    this.responderKey = ratchet;
    if (!this.handshake.finished) {
      this.#sendClear(
        CLEAR.NOISE, this.handshake.write(padPayload({ cert: this.certificate })),
      );
    }
    this.#split();
    this.#authenticated();
  }

  #message3(message) {
    const payload = this.#read(message);
    this.#split(); // from here a refusal is a CLOSE
    const { cert } = fields(unpadPayload(payload), { cert: kinds.bytes(149) });
    this.#checkPeer(cert);
    this.#authenticated();
  }

  /** */
  #checkPeer(cert) {
    const peer = parseCertificate(cert, this.now());
    const certificateInvalid = (reason) => {
      throw new Refusal('CERTIFICATE_INVALID', reason);
    };
    const rs = this.handshake.rs;
    if (!equal(peer.staticPub, rs)) certificateInvalid('for another static key');
    if (equal(peer.identity, this.profile.identity)) {
      throw new Refusal('WRONG_IDENTITY', 'our own identity');
    }
    if (this.profile.ownStatic(rs)) certificateInvalid('our own static key');
    if (this.expected && !equal(peer.identity, this.expected)) {
      throw new Refusal('WRONG_IDENTITY', 'not the contact that was dialled');
    }
    const known = this.profile.known(peer.identity);
    if (known && peer.generation < known.generation) certificateInvalid('an old generation');
    this.peer = { ...peer, certificate: cert };
  }

  #split() {
    const { send, receive, h, ck } = this.handshake.split();
    this.handshake = { rs: this.handshake.rs };
    this.sender = new Sender(send, this.now());
    this.receiver = new Receiver(receive);
    this.secrets = { h, ck };
  }

  #authenticated() {
    const contact = this.profile.contact(this.peer.identity);
    if (contact.hybrid && !isHybrid(this.suite)) {
      throw new Refusal('DOWNGRADE_DETECTED', 'this contact has spoken a hybrid suite');
    }
    if (contact.revoked) throw new Refusal('KEY_REVOKED', 'this identity is revoked');
    contact.certificate = this.peer.certificate;
    contact.generation = this.peer.generation;
    contact.hybrid = isHybrid(this.suite);
    this.contact = contact;
    this.changed = true;
    this.notices = new Notices({
      profile: this.profile,
      contact,
      h: this.secrets.h,
      presented: this.certificate,
      now: this.now,
      io: {
        send: (kind, body) => this.#sendFrame(kind, body),
        emit: (event) => this.#emit(event),
        changed: () => { this.changed = true; },
      },
    });
    this.stageAt = this.now();
    this.state = 'GREETING';
    this.#emit({
      event: 'authenticated', peer_id: peerId(contact.identity), suite: patternOf(this.suite),
      hybrid: contact.hybrid, role: this.initiator ? 'initiator' : 'responder',
    });
    this.#sendHello();
  }

  #sendHello() {
    this.#sendFrame(KINDS.HELLO, this.accepted
      ? writeHello({
        name: this.profile.name,
        session: helloSession(this.contact.session),
        ledger: helloLedger(this.contact.ledger),
        succession: this.profile.data.succession,
      })
      : encode({ accepted: false }));
  }

  // ------------------------------------------------------------------ frames

  #transportFrame({ kind, body }) {
    if (this.state === 'AWAIT_CONFIRMATION') this.#authenticated();
    if (this.state === 'CLOSED') return;
    const wrong = () => {
      throw new Refusal('PROTOCOL_VIOLATION', `${kindName(kind)} in ${this.state}`);
    };
    const open = () => (this.state === 'OPEN' ? true : wrong());
    switch (kind) {
      case KINDS.PING: this.#sendFrame(KINDS.PONG, body); break;
      case KINDS.PONG: case KINDS.REKEY: break;
      case KINDS.CLOSE: this.#closed(readU16(body), 'CLOSE', 'peer'); break;
      case KINDS.HELLO: this.#hello(body); break;
      case KINDS.RESUME: case KINDS.RESET:
        if (this.state !== 'SYNCING') wrong();
        this.#agreed(kind === KINDS.RESUME);
        break;
      case KINDS.RATCHET_PART: case KINDS.RATCHET: open(); this.#part(kind, body); break;
      case KINDS.ACK: open(); this.#acked(Number(readU64(body))); break;
      case KINDS.CERTIFICATE: case KINDS.REVOKED: case KINDS.COMPARE: case KINDS.LEDGER:
      case KINDS.TYPING: this.notices.receive(kind, body, this.state); break;
      default: // from 0x80 on: for later versions
    }
  }

  #hello(body) {
    const hello = parseHello(body, this.contact.identity);
    if (this.state === 'PENDING') {
      if (!hello.accepted || this.peerAccepted) {
        throw new Refusal('PROTOCOL_VIOLATION', 'a further HELLO that changes nothing');
      }
    } else if (this.state !== 'GREETING') {
      throw new Refusal('PROTOCOL_VIOLATION', `HELLO in ${this.state}`);
    }
    this.state = 'PENDING';
    this.#emit({
      event: 'greeted', accepted: hello.accepted, name: hello.name ?? null,
      note: hello.note ?? null,
      ...(hello.recovered ? { recovered: Number(hello.recovered) } : {}),
    });
    this.peerAccepted = hello.accepted;
    if (hello.accepted) { // of another HELLO nothing counts
      this.theirs = hello.session;
      this.theirLedger = hello.ledger;
      this.contact.kinds = hello.kinds ?? ['text'];
      if (hello.succession) this.#succession(hello.succession);
    }
    this.changed = true;
    this.notices.begin();
    this.#syncIfAccepted();
  }

  /** the old identity gets no more messages; what follows is the person's decision. */
  #succession({ old, successor }) {
    const contact = this.profile.known(old);
    if (!contact || contact.revoked || contact.successor) return;
    contact.successor = successor;
    this.#emit({ event: 'succession', from: peerId(old), to: peerId(successor) });
  }

  /** */
  #syncIfAccepted() {
    if (!this.accepted || !this.peerAccepted || this.state !== 'PENDING') return;
    if (this.theirLedger) {
      const { ledger, outbox } = this.contact;
      const differences = compareLedger(ledger, this.theirLedger, outbox.map(({ id }) => id));
      for (const difference of differences) this.#emit({ event: 'ledger', ...difference });
    }
    this.resumes = fits(this.contact.session, this.theirs);
    this.stageAt = this.now();
    this.state = 'SYNCING';
    this.#sendFrame(this.resumes ? KINDS.RESUME : KINDS.RESET, EMPTY);
  }

  /** */
  #agreed(peerResumes) {
    const { contact } = this;
    const resumed = this.resumes && peerResumes;
    this.state = 'OPEN';
    if (resumed) {
      this.#acked(Number(this.theirs.received));
    } else {
      const lost = contact.session?.received > 0 || contact.session?.acked > 0;
      dropSession(contact, this.now());
      contact.session = newSession({
        initiator: this.initiator,
        ...this.secrets,
        ownIdentity: this.profile.identity,
        peerIdentity: contact.identity,
        pair: this.ratchetPair,
        responderKey: this.responderKey,
      });
      if (this.initiator) sealGreeting(contact);
      if (lost) this.#emit({ event: 'session_lost' });
    }
    this.secrets = null;
    this.ratchetPair = null;
    this.changed = true;
    this.#emit({ event: 'session', resumed });
    for (const entry of contact.session.unacked) this.#sendEnvelope(entry);
    this.#flush();
  }

  #sendEnvelope(entry) {
    const parts = envelopeParts(entry);
    parts.forEach((part, i) => this.#sendFrame(
      i === parts.length - 1 ? KINDS.RATCHET : KINDS.RATCHET_PART, part,
    ));
  }

  #part(kind, body) {
    this.partsLength += body.length;
    if (this.partsLength > 8 + LIMITS.envelopeMax) {
      throw new Refusal('PROTOCOL_VIOLATION', 'an envelope that is too long');
    }
    this.parts.push(body);
    if (kind === KINDS.RATCHET_PART) return;
    const whole = concat(...this.parts);
    this.parts = [];
    this.partsLength = 0;
    const message = receiveEnvelope(this.contact, whole, this.now(), ({ signed }) =>
      statementText(unhex(signed), this.contact.identity, this.profile.identity));
    this.changed = true;
    this.#sendFrame(KINDS.ACK, u64(this.contact.session.received));
    this.#flush(); // the responder may speak now
    if (message) this.#received(message);
  }

  #received({ t, id, at, body, unknown, ...further }) {
    this.notices.hideTyping();
    const text = ['text', 'statement'].includes(t) && !unknown ? body : null;
    this.#emit({ event: 'received', kind: t, id, text, ...(t === 'edit' ? { body } : {}), ...further });
  }

  #acked(n) {
    const { sent } = this.contact.ledger;
    const before = sent.ids.length;
    const delivered = acknowledge(this.contact, n, this.now());
    const told = Math.floor(sent.ids.length / LIMITS.ledgerEvery);
    if (told > Math.floor(before / LIMITS.ledgerEvery)) this.notices.tellLedger();
    this.changed = true;
    for (const id of delivered) this.#emit({ event: 'delivered', id });
    if (this.state === 'OPEN' && this.secrets === null) this.#flush(); // the window has moved
  }

  // ------------------------------------------------------------------ output and end

  #sendBody(body) {
    this.sentAt = this.now();
    this.output.push(u16(body.length), body);
  }

  #sendClear(kind, content) {
    this.#sendBody(concat(u8(kind), content));
  }

  #sendFrame(kind, body) {
    for (const message of this.sender.frame(kind, body, this.now())) this.#sendBody(message);
  }

  /** Ends the connection because of an error; an error of our own is INTERNAL. */
  #fail(error) {
    const code = error instanceof Refusal ? error.code : CODES.INTERNAL;
    const reason = error instanceof Refusal ? error.message : error.stack;
    this.changed = true; // a broken session is dropped for good
    if (this.sender) this.#sendFrame(KINDS.CLOSE, u16(code));
    else if (!this.mute) this.#sendClear(CLEAR.REFUSE, u16(code));
    this.#closed(code, reason, 'self');
  }

  #closed(code, reason, by) {
    this.state = 'CLOSED';
    this.notices?.hideTyping();
    this.#emit({ event: 'closed', code, name: codeName(code), by, reason });
  }
}
