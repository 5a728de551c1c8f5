/**
 * Entity capabilities: service discovery information under a hash. XEP-0115, XEP-0030, XEP-0128
 *
 * The string that is hashed joins identities, features and forms by '<' without telling them apart, so another
 * answer can have the same hash (XEP-0115 §9.3). `verifyCaps` therefore asks more of an answer than §5.4 does,
 * before it may stand for all who advertise that hash: no separator inside a part, identities made of proper
 * tokens, and a first form type that sorts before the last feature, so that the sort order shows where features
 * end. An answer that fails this is good for the one who gave it, and for nobody else. What belongs to which
 * field inside the forms stays open; nothing is decided by them.
 */
import { hash as digest } from 'node:crypto';
import { el, type Element } from '../xml/element.ts';
import { dataFormElement, FORM_TYPE, parseDataForm, type DataForm, type FormField } from './data-form.ts';
import { NS } from './namespaces.ts';

export interface DiscoIdentity {
  readonly category: string;
  readonly type: string;
  readonly lang?: string | undefined;
  readonly name?: string | undefined;
}

export interface DiscoInfo {
  readonly identities: readonly DiscoIdentity[];
  readonly features: readonly string[];
  /** Of type `result`. XEP-0128 */
  readonly forms: readonly DataForm[];
}

/** How large an answer of a peer may be. */
export const DISCO_LIMITS = { maxIdentities: 64, maxFeatures: 512, maxForms: 16 } as const;

/** Of `node`, `ver` and `hash` of a peer, in UTF-16 units. */
const MAX_CAPS_ATTRIBUTE = 1024;

/** Functions an answer is verified with, by their IANA names, and node:crypto's. Those with known collisions but SHA-1 (§9.1) are left out. */
const HASHES: ReadonlyMap<string, string> = new Map([
  ['sha-1', 'sha1'],
  ['sha-224', 'sha224'],
  ['sha-256', 'sha256'],
  ['sha-384', 'sha384'],
  ['sha-512', 'sha512'],
  ['sha3-256', 'sha3-256'],
  ['sha3-512', 'sha3-512'],
]);

/** The `<c/>` of a presence or of stream features. §4 */
export interface Caps {
  readonly node: string;
  readonly ver: string;
  /** As the peer names it; `verifyCaps` knows some. */
  readonly hash: string;
}

export function capsElement({ node, ver, hash }: Caps): Element {
  return el('c', NS.caps, { hash, node, ver });
}

/** @returns `undefined` for another element, one that is malformed, and for the format of before 2008, which nobody can verify (§13). */
export function parseCaps(element: Element): Caps | undefined {
  if (!element.is('c', NS.caps)) return undefined;
  const [node, ver, hash] = [element.attr('node'), element.attr('ver'), element.attr('hash')];
  if (!node || !ver || !hash || node.length > MAX_CAPS_ATTRIBUTE || ver.length > MAX_CAPS_ATTRIBUTE || hash.length > MAX_CAPS_ATTRIBUTE)
    return undefined;
  return { node, ver, hash };
}

/** The `<query/>` of a disco#info answer. XEP-0030 §3.1 */
export function discoInfoElement({ identities, features, forms }: DiscoInfo, node?: string): Element {
  return el(
    'query',
    NS.discoInfo,
    { node },
    ...identities.map(({ category, type, lang, name }) => el('identity', NS.discoInfo, { category, type, name, 'xml:lang': lang })),
    ...features.map((feature) => el('feature', NS.discoInfo, { var: feature })),
    ...forms.map(dataFormElement),
  );
}

/** @returns `undefined` for another element, one without what XEP-0030 §3.1 requires, and one past the limits. */
export function parseDiscoInfo(query: Element): DiscoInfo | undefined {
  if (!query.is('query', NS.discoInfo)) return undefined;
  const identities: DiscoIdentity[] = [];
  const features: string[] = [];
  const forms: DataForm[] = [];
  for (const child of query.elements()) {
    if (child.is('identity', NS.discoInfo)) {
      const [category, type] = [child.attr('category'), child.attr('type')];
      if (!category || !type) return undefined;
      identities.push({ category, type, lang: child.attr('xml:lang'), name: child.attr('name') });
    } else if (child.is('feature', NS.discoInfo)) {
      const feature = child.attr('var');
      if (!feature) return undefined;
      features.push(feature);
    } else if (child.is('x', NS.dataForm)) {
      const form = parseDataForm(child);
      if (form === undefined) return undefined;
      forms.push(form);
    }
  }
  const { maxIdentities, maxFeatures, maxForms } = DISCO_LIMITS;
  if (identities.length > maxIdentities || features.length > maxFeatures || forms.length > maxForms) return undefined;
  return { identities, features, forms };
}

/**
 * The verification string. §5.1
 *
 * @param hash an IANA name.
 * @throws RangeError for a hash that is not supported: for our own, a bug of ours.
 */
export function capsVer(info: DiscoInfo, hash = 'sha-1'): string {
  const algorithm = HASHES.get(hash);
  if (algorithm === undefined) throw new RangeError(`no hash for capabilities: ${hash}`);
  return digest(algorithm, capsInput(info), 'base64');
}

/** The string that is hashed. §5.1, step by step */
function capsInput({ identities, features, forms }: DiscoInfo): string {
  const parts: string[] = identities
    .toSorted(
      (a, b) =>
        compareOctets(a.category, b.category) ||
        compareOctets(a.type, b.type) ||
        compareOctets(a.lang ?? '', b.lang ?? '') ||
        compareOctets(a.name ?? '', b.name ?? ''),
    )
    .map(identityText);
  parts.push(...features.toSorted(compareOctets));
  for (const [formType, form] of typedForms(forms).toSorted(([a], [b]) => compareOctets(a, b))) {
    parts.push(formType);
    for (const field of form.fields.filter(({ var: name }) => name !== FORM_TYPE).toSorted((a, b) => compareOctets(a.var, b.var))) {
      parts.push(field.var, ...field.values.toSorted(compareOctets));
    }
  }
  return parts.length === 0 ? '' : parts.join('<') + '<';
}

function identityText({ category, type, lang = '', name = '' }: DiscoIdentity): string {
  return `${category}/${type}/${lang}/${name}`;
}

/** Forms that count: with a hidden FORM_TYPE. §5.4 step 3.6 */
function typedForms(forms: readonly DataForm[]): [formType: string, form: DataForm][] {
  const typed: [string, DataForm][] = [];
  for (const form of forms) {
    const field = hiddenFormType(form);
    if (field?.values[0] !== undefined) typed.push([field.values[0], form]);
  }
  return typed;
}

function hiddenFormType(form: DataForm): FormField | undefined {
  return form.fields.find((field) => field.var === FORM_TYPE && field.type === 'hidden');
}

/**
 * `valid`: the answer may be cached for everybody who advertises the same hash and ver (§5.4).
 * `mismatch`: it is not what was hashed. `ill_formed`: §5.4 steps 3.3 to 3.5.
 * `ambiguous`: right, but another answer could be, too. `unknown_hash`: cannot be told.
 * Whatever is not `valid` says something of the one who answered only.
 */
export type CapsVerdict = 'valid' | 'mismatch' | 'ill_formed' | 'ambiguous' | 'unknown_hash';

/** Checks what was advertised against the answer to the disco#info request. §5.4 */
export function verifyCaps({ ver, hash }: Pick<Caps, 'ver' | 'hash'>, info: DiscoInfo): CapsVerdict {
  if (!HASHES.has(hash)) return 'unknown_hash';
  if (isIllFormed(info)) return 'ill_formed';
  if (capsVer(info, hash) !== ver) return 'mismatch';
  return isAmbiguous(info) ? 'ambiguous' : 'valid';
}

function isIllFormed({ identities, features, forms }: DiscoInfo): boolean {
  if (new Set(identities.map(identityText)).size < identities.length) return true;
  if (new Set(features).size < features.length) return true;
  const formTypes = new Set<string>();
  for (const form of forms) {
    const field = hiddenFormType(form);
    if (field === undefined) continue;
    const [formType] = field.values;
    if (field.values.some((value) => value !== formType)) return true;
    if (formType === undefined) continue;
    if (formTypes.has(formType)) return true;
    formTypes.add(formType);
  }
  return false;
}

function isAmbiguous({ identities, features, forms }: DiscoInfo): boolean {
  const isToken = (text: string): boolean => /^[-+.\w]+$/.test(text);
  for (const { category, type, lang = '', name = '' } of identities) {
    // A feature such as http://jabber.org/protocol/muc has slashes, too, but no category has a colon.
    if (!isToken(category) || !isToken(type) || (lang !== '' && !isToken(lang)) || name.includes('<')) return true;
  }
  // A feature that could be read as an identity.
  if (features.some((feature) => feature.includes('<') || /^[-+.\w]+\/[-+.\w]+\/[-+.\w]*\//.test(feature))) return true;
  const typed = typedForms(forms);
  if (
    typed.some(
      ([formType, { fields }]) =>
        formType.includes('<') || fields.some(({ var: name, values }) => name.includes('<') || values.some((value) => value.includes('<'))),
    )
  )
    return true;
  const [firstForm] = typed.map(([formType]) => formType).toSorted(compareOctets);
  const lastFeature = features.toSorted(compareOctets).at(-1);
  // Were it after the last feature, it could be one more, and the last features could be a form.
  return firstForm !== undefined && (lastFeature === undefined || compareOctets(firstForm, lastFeature) >= 0);
}

/** i;octet of RFC 4790 §9.3. UTF-16 has another order beyond the basic plane. */
function compareOctets(a: string, b: string): number {
  return a === b ? 0 : Buffer.compare(Buffer.from(a), Buffer.from(b));
}
