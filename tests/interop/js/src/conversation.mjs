// What the messages of a conversation do to it: changes, timers, the record (protocol.md 9.4 to 9.6).
//
// A contact's `lines` are its texts and statements; `timer` and `record` are where the two stand.
// Proposals of a timer are { id, s }; `spent` are ours that gave way, `accepted` what we accepted last.

import { LIMITS } from './errors.mjs';

export const newConversation = () => ({
  lines: [], // { id, own, at, t, body, re, ttl, edited, deleted, reactions, expires }
  timer: { inForce: 0, before: 0, ours: null, theirs: null, spent: [], accepted: 0 },
  record: 'off',
  readUpTo: null,
});

const lineOf = (contact, id) => contact.lines.find((line) => line.id === id);

/**
 * Applies a message that `own` side said. Gives false if nothing comes of it: it crossed something,
 * or names what is not there. To our own person that is a refusal.
 */
export function apply(contact, message, own) {
  switch (message.t) {
    case 'text':
    case 'statement': return addLine(contact, message, own);
    case 'edit': return edit(contact, message, own);
    case 'delete': return remove(contact, message, own);
    case 'reaction': return react(contact, message, own);
    case 'read': return read(contact, message, own);
    case 'timer': return timer(contact.timer, message, own);
    case 'record': return record(contact, message, own);
    default: return true;
  }
}

function addLine(contact, { id, t, at, body = null, re = null, ttl = null }, own) {
  const { inForce, before } = contact.timer;
  const obeyed = own || [inForce, before].includes(ttl) ? ttl : null;
  contact.lines.push({
    id, own, at, t, body, re, ttl: obeyed, edited: false, deleted: false, reactions: {}, expires: null,
  });
  return true;
}

/** */
function edit(contact, { of, body, at }, own) {
  const line = lineOf(contact, of);
  if (!line || line.t !== 'text' || line.own !== own || line.deleted) return false;
  if (at < line.at || at - line.at > LIMITS.editWindowMs) return false;
  Object.assign(line, { body, edited: true });
  return true;
}

/** */
function remove(contact, { of }, own) {
  const line = lineOf(contact, of);
  if (!line || line.t !== 'text' || line.own !== own || line.deleted) return false;
  Object.assign(line, { body: null, deleted: true, reactions: {} });
  return true;
}

/** */
function react(contact, { of, emoji }, own) {
  const line = lineOf(contact, of);
  if (!line || line.deleted) return false;
  if (emoji === '') delete line.reactions[own ? 'own' : 'peer'];
  else line.reactions[own ? 'own' : 'peer'] = emoji;
  return true;
}

/** `of` is a message of the other side. */
function read(contact, { of }, own) {
  const line = lineOf(contact, of);
  if (!line || line.own === own) return false;
  if (!own) contact.readUpTo = of;
  return true;
}

/** The table of. */
function timer(state, { id, state: word, s, of }, own) {
  const inForce = (value) => {
    if (state.inForce !== 0) state.before = state.inForce;
    state.inForce = value;
  };
  switch (`${own ? 'we' : 'they'}: ${word}`) {
    case 'we: propose':
      if (state.ours || s === state.inForce) return false;
      state.ours = { id, s };
      return true;
    case 'we: accept':
      if (state.theirs?.id !== of) return false;
      inForce(state.theirs.s);
      if (state.ours) state.spent.push(state.ours);
      Object.assign(state, { accepted: state.theirs.s, ours: null, theirs: null });
      return true;
    case 'we: decline':
      if (state.theirs?.id !== of) return false;
      state.theirs = null;
      return true;
    case 'we: end':
      if (state.inForce === 0 && !state.ours) return false;
      inForce(0);
      Object.assign(state, { ours: null, spent: [], accepted: 0 });
      return true;
    case 'they: propose':
      state.theirs = { id, s };
      return true;
    case 'they: accept':
      if (state.ours?.id === of) {
        inForce(state.ours.s);
        Object.assign(state, { ours: null, theirs: null, spent: [], accepted: 0 });
        return true;
      }
      for (const spent of state.spent.filter(({ id: other }) => other === of)) {
        inForce(Math.min(spent.s, state.accepted || Infinity));
        state.spent = state.spent.filter((other) => other !== spent);
        state.theirs = null;
        return true;
      }
      return false;
    case 'they: decline':
      if (state.ours?.id !== of) return false;
      state.ours = null;
      return true;
    default: // they: end
      inForce(0);
      Object.assign(state, { theirs: null, accepted: 0 });
      return true;
  }
}

/** The table of 9.4, by state and what is said. */
const RECORD = {
  'off we propose': 'proposed',
  'asked we accept': 'on',
  'asked we decline': 'off',
  'proposed we end': 'off',
  'on we end': 'off',
  'off they propose': 'asked',
  'proposed they propose': 'on',
  'proposed they accept': 'on',
  'proposed they decline': 'off',
  'asked they end': 'off',
  'on they end': 'off',
};

function record(contact, { state }, own) {
  const next = RECORD[`${contact.record} ${own ? 'we' : 'they'} ${state}`];
  if (next === undefined) return false;
  contact.record = next;
  return true;
}

/** The clock of a text begins: ours when it is acknowledged, theirs when it is seen. */
export function startClock(contact, id, now) {
  const line = lineOf(contact, id);
  if (line?.ttl && line.expires === null) line.expires = now + 1000 * line.ttl;
}

/** Removes what has run out; gives its ids. */
export function expire(contact, now) {
  const over = contact.lines.filter(({ expires }) => expires !== null && expires <= now);
  if (over.length > 0) contact.lines = contact.lines.filter((line) => !over.includes(line));
  return over.map(({ id }) => id);
}
