import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LOG, type LogEntry } from '../../src/log/entry.ts';
import { RowWriter } from '../../src/store/codec.ts';
import { parseJid } from '../../src/xmpp/jid.ts';
import { Stanza } from '../../src/xmpp/stanza.ts';

const entry: LogEntry = {
  position: 300,
  atMs: 1_750_000_000_123,
  direction: 'out',
  stanza: new Stanza({
    kind: 'message',
    type: 'chat',
    from: parseJid('romeo@montague.lit/orchard')!,
    to: parseJid('juliet@capulet.lit')!,
    id: 'ünïque 😀',
    lang: 'en',
    body: `<body>${'Wherefore 😀? '.repeat(200)}</body><own xmlns='urn:example:own'/><active xmlns='http://jabber.org/protocol/chatstates'/>`,
    children: [
      { name: 'body', ns: 'jabber:client' },
      { name: 'own', ns: 'urn:example:own' },
      { name: 'active', ns: 'http://jabber.org/protocol/chatstates' },
    ],
  }),
  isArchived: true,
  isTombstone: false,
  source: 0,
  origin: { session: 77, taken: 2 ** 33, requests: [{ id: 'q1', to: 'capulet.lit', seq: 4 }] },
  settledBelow: 298,
  deliveries: [{ session: 77, seq: 9, form: 'carbon_sent' }],
};

test('an entry is read as it was written', () => {
  assert.deepEqual(LOG.decode(LOG.encode(entry), LOG.version), entry);
  const { stanza } = entry;
  const bare = new Stanza({ kind: 'message', type: 'normal', from: stanza.from, to: stanza.to });
  const least: LogEntry = { ...entry, direction: 'in', origin: undefined, deliveries: [], source: 12, isTombstone: true, stanza: bare };
  assert.deepEqual(LOG.decode(LOG.encode(least), LOG.version), least);
});

test('so are entries of version 1', () => {
  const { stanza, origin } = entry;
  const row = new RowWriter();
  row
    .uint(entry.position)
    .uint(entry.atMs)
    .uint(1 + 4)
    .uint(1)
    .uint(entry.source)
    .uint(entry.settledBelow);
  row.uint(origin!.session).uint(origin!.taken).uint(1).string('q1').string('capulet.lit').uint(4);
  row.uint(1).uint(77).uint(9).uint(2);
  row.string(stanza.type).string(stanza.from.full).string(stanza.to.full).optionalString(stanza.id).optionalString(stanza.lang);
  row.string(stanza.body).uint(stanza.children.length);
  for (const { name, ns } of stanza.children) row.string(name).string(ns);
  assert.deepEqual(LOG.decode(row.finish(), 1), entry);
});
