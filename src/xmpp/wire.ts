/**
 * Stanzas between threads: a run of primitives, since flat arrays of strings clone
 * several times faster than objects, and the tree never travels.
 */
import type { ChildHead } from '../xml/frame.ts';
import { parseJid, type Jid } from './jid.ts';
import { Stanza, type StanzaKind, type StanzaType } from './stanza.ts';

/** Where a reader stands in the flat array. */
export interface WireCursor {
  at: number;
}

export function writeStanza(stanza: Stanza, out: unknown[]): void {
  out.push(
    stanza.kind,
    stanza.type,
    stanza.from.full,
    stanza.to.full,
    stanza.id,
    stanza.lang,
    stanza.body,
    stanza.hasTo,
    stanza.children.length,
  );
  for (const child of stanza.children) out.push(child.name, child.ns);
}

export function readStanzaFromWire(input: readonly unknown[], cursor: WireCursor): Stanza {
  let { at } = cursor;
  const kind = input[at++] as StanzaKind;
  const type = input[at++] as StanzaType;
  const from = knownJid(input[at++] as string);
  const to = knownJid(input[at++] as string);
  const id = input[at++] as string | undefined;
  const lang = input[at++] as string | undefined;
  const body = input[at++] as string;
  const hasTo = input[at++] as boolean;
  const count = input[at++] as number;
  const children: ChildHead[] = [];
  for (let i = 0; i < count; i++) children.push({ name: input[at++] as string, ns: input[at++] as string });
  cursor.at = at;
  return new Stanza({ kind, type, from, to, id, lang, body, children, hasTo });
}

/** Normalised by the sending thread, so it parses; anything else is a bug of ours. */
function knownJid(text: string): Jid {
  const jid = parseJid(text);
  if (jid === undefined) throw new Error('an address on the bridge is not a JID');
  return jid;
}
