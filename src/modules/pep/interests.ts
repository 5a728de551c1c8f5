/**
 * What clients want to be told of, by the hash of their capabilities. Only answers that prove the hash get in here, since
 * they speak for everybody who has it. XEP-0115 §5.4, §9.3, XEP-0060 §9.2
 */
import type { Services } from '../../core/context.ts';
import { parseElement } from '../../xml/tree.ts';
import { parseCaps, type Caps, type DiscoInfo } from '../../xmpp/caps.ts';
import { NS } from '../../xmpp/namespaces.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

/** Names of nodes. */
export type Interests = ReadonlySet<string>;

/** Hashes each worker remembers; the one not used for longest goes. */
const MAX_HASHES = 5_000;
/** Texts of `<c/>` each worker has parsed. */
const MAX_TEXTS = 5_000;
const NOTIFY = '+notify';
export const NO_INTERESTS: Interests = new Set();

export class KnownInterests {
  private readonly byHash = new Map<string, Interests>();

  get(key: string): Interests | undefined {
    const known = this.byHash.get(key);
    if (known === undefined) return undefined;
    this.byHash.delete(key);
    this.byHash.set(key, known);
    return known;
  }

  set(key: string, interests: Interests): void {
    this.byHash.set(key, interests);
    if (this.byHash.size > MAX_HASHES) this.byHash.delete(this.byHash.keys().next().value!);
  }
}

const known = new WeakMap<Services, KnownInterests>();

/** Of this worker. */
export function knownInterests(services: Services): KnownInterests {
  let interests = known.get(services);
  if (interests === undefined) known.set(services, (interests = new KnownInterests()));
  return interests;
}

export function interestsOf({ features }: DiscoInfo): Interests {
  const names = features.filter((feature) => feature.endsWith(NOTIFY)).map((feature) => feature.slice(0, -NOTIFY.length));
  return names.length === 0 ? NO_INTERESTS : new Set(names);
}

/** Under which the answer to a question about these capabilities is remembered: what is hashed does not depend on the node. */
export function hashKey({ hash, ver }: Caps): string {
  return `${hash} ${ver}`;
}

const texts = new Map<string, Caps>();

/**
 * The capabilities in a presence; `undefined` for none that could be verified. No tree where the text is known.
 *
 * What is remembered of a text is made of that text alone: were it taken from the presence, one that has another `<c/>` inside
 * something else could say what the text of others means.
 */
export function capsOf(presence: Stanza): Caps | undefined {
  if (!presence.has('c', NS.caps)) return undefined;
  const text = textOf(presence.body);
  const known = text === undefined ? undefined : texts.get(text);
  if (known !== undefined) return known;
  const alone = text === undefined ? undefined : parseElement(text);
  const caps = alone && parseCaps(alone);
  if (caps === undefined) {
    const element = presence.child('c', NS.caps);
    return element && parseCaps(element);
  }
  texts.set(text!, caps);
  if (texts.size > MAX_TEXTS) texts.delete(texts.keys().next().value!);
  return caps;
}

/** The tag, where it is the only one that begins like that; an empty tag, as all clients write it. */
function textOf(body: string): string | undefined {
  const from = body.indexOf('<c ');
  if (from === -1 || body.indexOf('<c ', from + 1) !== -1) return undefined;
  const to = body.indexOf('>', from);
  return body[to - 1] === '/' ? body.slice(from, to + 1) : undefined;
}
