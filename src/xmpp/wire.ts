/**
 * Stanzas between threads: a run of primitives, since flat arrays of strings clone
 * several times faster than objects, and the tree never travels.
 */
import type { ChildHead } from '../xml/frame.ts';
import { parseJid, type Jid } from './jid.ts';
import { FAMILIAR, familiarAs, STANZA_TYPES } from './familiar.ts';
import { Stanza, type StanzaKind } from './stanza.ts';

/** Where a reader stands in the flat array. */
export interface WireCursor {
  at: number;
}

const KINDS: readonly StanzaKind[] = ['message', 'presence', 'iq'];
/** Of the first number: kind, then type, then whether there was a `to`. */
const TYPE = 4;
const HAS_TO = 128;

/** Numbers where words can be spared: a string costs several times as much to clone. */
export function writeStanza(stanza: Stanza, out: unknown[]): void {
  const { kind, type, from, to, id, lang, body, hasTo, children } = stanza;
  out.push(
    KINDS.indexOf(kind) + STANZA_TYPES.indexOf(type) * TYPE + (hasTo ? HAS_TO : 0),
    from.full,
    to.full,
    id,
    lang,
    body,
    children.length,
  );
  for (let i = 0; i < children.length; i++) {
    const { name, ns } = children[i]!;
    const familiar = familiarAs(name, ns);
    out.push(familiar);
    if (familiar === 0) out.push(name, ns);
  }
}

export function readStanzaFromWire(input: readonly unknown[], cursor: WireCursor): Stanza {
  let { at } = cursor;
  const words = input[at++] as number;
  const from = knownJid(input[at++] as string);
  const to = knownJid(input[at++] as string);
  const id = input[at++] as string | undefined;
  const lang = input[at++] as string | undefined;
  const body = input[at++] as string;
  const count = input[at++] as number;
  const children: ChildHead[] = [];
  for (let i = 0; i < count; i++) {
    const familiar = input[at++] as number;
    children.push(familiar > 0 ? FAMILIAR[familiar - 1]! : { name: input[at++] as string, ns: input[at++] as string });
  }
  cursor.at = at;
  const kind = KINDS[words % TYPE]!;
  const type = STANZA_TYPES[Math.floor((words % HAS_TO) / TYPE)]!;
  return new Stanza({ kind, type, from, to, id, lang, body, children, hasTo: words >= HAS_TO });
}

/** Normalised by the sending thread, so it parses; anything else is a bug of ours. */
function knownJid(text: string): Jid {
  const jid = parseJid(text);
  if (jid === undefined) throw new Error('an address on the bridge is not a JID');
  return jid;
}
