#!/usr/bin/env node
// A small peer for interoperability tests. One JSON object a line on stdout for each event.
//
//   node peer.mjs link   --state FILE [--name NAME] [--address HOST:PORT ...]
//   node peer.mjs dial   HOST:PORT [options]
//   node peer.mjs listen PORT [options]          on 127.0.0.1; 0 picks a free port
//
//   --state FILE      identity, contacts and sessions (otherwise in memory, gone at the end)
//   --name NAME       name of a new identity
//   --expect PEERID   the contact that is dialled; begins with IK if its static key is known
//   --suite SUITE     begin with XX, IK, XXhfs or IKhfs; a classical one offers classical ones only
//   --offer WHICH     all, hybrid or classical, whatever --suite says
//   --stale-static    begin with IK to a static key that the peer does not have
//   --send TEXT       queue a text for the first peer that authenticates (again for more)
//   --echo            answer each text with "echo: " and the text, if that is short enough
//   --ask             listen: accept nobody before {"op":"accept"}
//   --reconnect       dial again after the end of a connection
//   --stdin           obey commands, one JSON object a line: {"op":"send","text":...},
//                     {"op":"drop"} (no CLOSE), {"op":"close"}, {"op":"accept"},
//                     {"op":"status"}, {"op":"quit"}, and
//                     {"op":"say","message":{"t":...}}: any message, `of` and `re` in hexadecimal
//                     {"op":"compare","text":...}, {"op":"give-up"}: a phrase
//                     {"op":"typing","on":...}, {"op":"tell-ledger"}
//                     {"op":"rotate"}: a new static key, told to everybody
//                     {"op":"revoke"}: our own identity, told to everybody
//                     {"op":"forget"}: the session and the last message received (close first)
//   --exit-after N    end after N received and delivered messages
//   --timeout SECONDS end anyway, with status 1 if --exit-after was not reached (30)

import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { equal, unhex } from './src/bytes.mjs';
import { Connection } from './src/connection.mjs';
import { CODES, LIMITS } from './src/errors.mjs';
import { issueRevocation, parsePeerId, safetyNumber } from './src/identity.mjs';
import { SUITES, isHybrid } from './src/negotiation.mjs';
import { dhKeyPair } from './src/primitives.mjs';
import { forgetLast } from './src/ledger.mjs';
import { Profile } from './src/profile.mjs';
import { dropSession } from './src/session.mjs';

const { values: options, positionals: [command, where] } = parseArgs({
  allowPositionals: true,
  options: {
    state: { type: 'string' },
    name: { type: 'string', default: 'Second implementation' },
    address: { type: 'string', multiple: true, default: [] },
    expect: { type: 'string' },
    suite: { type: 'string' },
    offer: { type: 'string' },
    'stale-static': { type: 'boolean', default: false },
    send: { type: 'string', multiple: true, default: [] },
    echo: { type: 'boolean', default: false },
    ask: { type: 'boolean', default: false },
    reconnect: { type: 'boolean', default: false },
    stdin: { type: 'boolean', default: false },
    'exit-after': { type: 'string' },
    timeout: { type: 'string', default: '30' },
  },
});

const profile = Profile.open(options.state ?? null, options.name);
const report = (event) => process.stdout.write(`${JSON.stringify(event)}\n`);
const goal = options['exit-after'] === undefined ? Infinity : Number(options['exit-after']);
const connections = new Set();
let server = null;
let toSend = options.send;
let done = 0;
let ending = false;
let sawError = false;

function offerKind() {
  if (options.offer) return options.offer;
  return options.suite && !isHybrid(SUITES[options.suite]) ? 'classical' : 'all';
}

function end(status) {
  if (ending) return;
  ending = true;
  process.exitCode = status;
  for (const connection of connections) connection.close(CODES.NORMAL, 'the program ends');
  server?.close();
  process.stdin.destroy();
  setTimeout(() => process.exit(), 1000).unref();
  clearTimeout(deadline);
}

const deadline = setTimeout(() => end(goal === Infinity ? 0 : 1), 1000 * Number(options.timeout));

function count() {
  done += 1;
  if (done >= goal) setImmediate(() => end(0));
}

function onEvent(connection, event) {
  report(event);
  if (event.event === 'authenticated') {
    for (const other of connections) {
      if (other !== connection && other.contact && equal(
        other.contact.identity, connection.contact.identity,
      )) other.close(CODES.SUPERSEDED, 'a newer connection');
    }
    const texts = toSend;
    toSend = [];
    for (const text of texts) connection.sendText(text);
  } else if (event.event === 'received') {
    const answer = `echo: ${event.text}`;
    if (options.echo && event.kind === 'text' && event.text !== null && Buffer.byteLength(answer) <= LIMITS.textBytes) {
      connection.sendText(answer);
    }
    count();
  } else if (event.event === 'delivered') {
    count();
  } else if (event.event === 'revoked' && !event.own) {
    for (const other of connections) {
      if (other !== connection && other.contact?.revoked) {
        other.close(CODES.KEY_REVOKED, 'its identity is revoked');
      }
    }
  } else if (event.event === 'closed') {
    if (![CODES.NORMAL, CODES.GOING_AWAY, CODES.SUPERSEDED].includes(event.code)) sawError = true;
  }
}

function attach(socket, role) {
  socket.setNoDelay(true);
  const io = {
    write: (bytes) => socket.write(bytes),
    end: () => {
      socket.end();
      setTimeout(() => socket.destroy(), 500).unref();
    },
    emit: (event) => onEvent(connection, event),
  };
  const connection = new Connection({
    profile, io, offer: offerKind(), accept: !options.ask, ...role,
  });
  const ticker = setInterval(() => connection.tick(), 250);
  connections.add(connection);
  connection.socket = socket;
  socket.on('data', (bytes) => connection.receive(bytes));
  socket.on('end', () => connection.eof());
  socket.on('error', () => connection.eof());
  socket.on('close', () => {
    clearInterval(ticker);
    connections.delete(connection);
    connection.eof();
    if (role.initiator) dialled();
  });
  return connection;
}

function dialled() {
  if (ending) return;
  if (options.reconnect) setTimeout(dial, 300);
  else end(sawError || done < goal && goal !== Infinity ? 1 : 0);
}

function dial() {
  if (ending) return;
  const at = where.lastIndexOf(':');
  const host = where.slice(0, at).replace(/^\[|\]$/g, '');
  const socket = connect({ host, port: Number(where.slice(at + 1)) });
  const refused = (error) => {
    report({ event: 'unreachable', reason: error.message });
    if (!options.reconnect) sawError = true;
    dialled();
  };
  socket.once('error', refused);
  socket.once('connect', () => {
    socket.off('error', refused);
    attach(socket, {
      initiator: true,
      expected: options.expect ? parsePeerId(options.expect) : null,
      suite: options.suite ?? null,
      staleStatic: options['stale-static'] ? dhKeyPair().pub : null,
    }).start();
  });
}

/** Tells everybody what is due: a new certificate, or our revocation. */
function tellAll() {
  for (const each of connections) each.notify((notices) => notices.begin());
}

/** Bytes are in hexadecimal on the command line. */
const withBytes = (message) => Object.fromEntries(Object.entries(message).map(
  ([name, value]) => [name, ['of', 're', 'signed'].includes(name) ? unhex(value) : value],
));

const OPS = {
  quit: () => end(0),
  send: ({ text }, connection) => {
    if (connection) connection.sendText(text);
    else toSend = [...toSend, text];
  },
  say: ({ message }, connection) => report({ event: 'said', id: connection.send(withBytes(message)) }),
  drop: (_, connection) => connection?.socket.destroy(),
  accept: (_, connection) => connection?.accept(),
  close: (_, connection) => connection?.close(CODES.NORMAL, 'asked for'),
  compare: ({ text }, connection) => connection.notify(({ comparison }) => comparison.type(text)),
  'give-up': (_, connection) => connection.notify(({ comparison }) => comparison.giveUp()),
  typing: ({ on }, connection) => connection.notify((notices) => notices.tellTyping(on)),
  'tell-ledger': (_, connection) => connection.notify((notices) => notices.tellLedger()),
  rotate: () => {
    profile.rotate();
    tellAll();
  },
  revoke: () => {
    profile.revocation = issueRevocation(profile.data.seed);
    profile.save();
    tellAll();
  },
  forget: () => {
    for (const contact of Object.values(profile.data.contacts)) {
      forgetLast(contact.ledger.received);
      dropSession(contact);
    }
    profile.save();
  },
  status: (_, connection) => {
    const contact = connection?.contact;
    report({
      event: 'status', state: connection?.state ?? null,
      kem_steps: contact?.session?.ratchet.kem.steps ?? 0,
      sent: contact?.session?.sent ?? 0, received: contact?.session?.received ?? 0,
      rekeys: [connection?.sender?.changes ?? 0, connection?.receiver?.changes ?? 0],
      safety_number: contact ? safetyNumber(profile.identity, contact.identity) : null,
      verified: contact?.verified ?? false, lines: contact?.lines ?? [], timer: contact?.timer ?? null,
      record: contact?.record ?? null, generation: contact?.generation ?? null,
    });
  },
};

function obey(command_) {
  const [connection] = [...connections].filter(({ contact }) => contact);
  if (!Object.hasOwn(OPS, command_.op)) throw new Error(`unknown command ${command_.op}`);
  OPS[command_.op](command_, connection);
}

if (options.stdin) {
  createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line)));
}

switch (command) {
  case 'link':
    process.stdout.write(`${profile.link(options.address)}\n`);
    end(0);
    break;
  case 'dial':
    dial();
    break;
  case 'listen':
    server = createServer({ allowHalfOpen: true }, (socket) => attach(socket, { initiator: false }));
    server.listen(Number(where), '127.0.0.1', () => {
      const { port } = server.address();
      report({
        event: 'listening', port, peer_id: profile.peerId,
        link: profile.link([`127.0.0.1:${port}`]),
      });
    });
    break;
  default:
    process.stderr.write('peer.mjs: link, dial HOST:PORT or listen PORT\n');
    end(2);
}
