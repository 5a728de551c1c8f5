/**
 * XMPP addresses. RFC 7622, with PRECIS for the local and resource part and IDNA2008 for the domain.
 *
 * Canonical form, the only one used as a key anywhere:
 * - local: UsernameCaseMapped, less `"&'/:<>@`. RFC 7622 §3.3
 * - domain: lower case U-labels (`xn--…` is decoded), no trailing dot; IPv6 literals as RFC 5952 writes them.
 *   DNS wants `asciiDomain(domain)` instead. RFC 7622 §3.2
 * - resource: OpaqueString. RFC 7622 §3.4; leading and trailing spaces are part of it (erratum 4560).
 *
 * Compatibility with servers that still follow RFC 6122 (stringprep):
 * - ASCII addresses are the same under both, and what stringprep makes of a resource is valid here unchanged.
 * - Code points stringprep drops (soft hyphen, variation selectors, joiners out of context) are dropped from a
 *   resource instead of refusing it, so that an emoji may be a nickname. Strictly valid resources do not change.
 * - `ß` and `ς` stay (stringprep folds them to `ss` and `σ`): such accounts differ between the two kinds of server.
 * - Localparts with symbols or compatibility characters (`♚`, `Ⅳ`) are refused, as RFC 7622 §3.5 shows.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { domainToASCII, domainToUnicode } from 'node:url';
import { hasRightToLeft, isNormalizable, isULabel, mapWidth, MAX_PRECIS_LENGTH, opaqueString, usernameCaseMapped } from './precis.ts';

/** `local@domain` or `domain`, normalised: equal strings are equal addresses. */
export type BareJid = string & { readonly jidKind: 'bare' };
/** `local@domain/resource` or `domain/resource`, normalised. */
export type FullJid = string & { readonly jidKind: 'full' };

/** Of each part, after normalisation. RFC 7622 §3.1 */
export const MAX_PART_BYTES = 1023;

/** Addresses remembered by each thread, in two generations of this many; about 400 bytes each. */
export const DEFAULT_CACHED_JIDS = 8192;
/** Longer texts are parsed anew each time, so that a full cache is small. UTF-16 units. */
const MAX_CACHED_LENGTH = 256;

/** RFC 1035 §2.3.4; of an A-label for an internationalised one. */
const MAX_LABEL_LENGTH = 63;
/** Of an internationalised name in the form DNS has it in: 255 octets with the length of each label. RFC 1035 §2.3.4 */
const MAX_ASCII_NAME_LENGTH = 253;

/**
 * An address. Immutable; equal addresses may be different objects, so compare with `equals` or by `full`.
 */
export class Jid {
  /** '' where absent, like `resource`. */
  readonly local: string;
  readonly domain: string;
  readonly resource: string;
  readonly bare: BareJid;
  /** The bare address where there is no resource. */
  readonly full: BareJid | FullJid;
  /** `full`, escaped for an attribute value in either kind of quotes. */
  readonly xml: string;
  /** Made when first asked for; private by name so that comparing two addresses deeply does not see it. */
  #bareOnly: Jid | undefined;

  /** Takes normalised parts on trust; everyone else calls `parseJid` or `makeJid`. */
  constructor(local: string, domain: string, resource: string) {
    const joined = (local === '' ? domain : local + '@' + domain) + (resource === '' ? '' : '/' + resource);
    const full = detach(joined);
    const domainAt = local === '' ? 0 : local.length + 1;
    const bareLength = domainAt + domain.length;
    this.local = full.slice(0, local.length);
    this.domain = full.slice(domainAt, bareLength);
    this.resource = resource === '' ? '' : full.slice(bareLength + 1);
    this.bare = (resource === '' ? full : full.slice(0, bareLength)) as BareJid;
    this.full = full as FullJid;
    this.xml = escapeResource(full, bareLength);
    this.#bareOnly = undefined;
  }

  get isBare(): boolean {
    return this.resource === '';
  }

  get isFull(): boolean {
    return this.resource !== '';
  }

  /** A server or service as such: neither local nor resource part. */
  get isDomain(): boolean {
    return this.local === '' && this.resource === '';
  }

  toBare(): Jid {
    if (this.resource === '') return this;
    this.#bareOnly ??= new Jid(this.local, this.domain, '');
    return this.#bareOnly;
  }

  toDomain(): Jid {
    return this.isDomain ? this : new Jid('', this.domain, '');
  }

  /** @returns `undefined` where `resource` is none: RFC 7622 §3.4 */
  withResource(resource: string): Jid | undefined {
    const normal = normalizeResource(resource);
    return normal === undefined ? undefined : new Jid(this.local, this.domain, normal);
  }

  equals(other: Jid): boolean {
    return this === other || this.full === other.full;
  }

  toString(): string {
    return this.full;
  }
}

let maxCached = DEFAULT_CACHED_JIDS;
let young = new Map<string, Jid>();
let old = new Map<string, Jid>();

/** Sets how many addresses a generation of this thread's cache holds, and empties it. 0 turns it off. */
export function setJidCacheSize(maxJids: number): void {
  maxCached = maxJids;
  young = new Map();
  old = new Map();
}

/** Addresses this thread remembers now; at most twice the size set. */
export function jidCacheSize(): number {
  return young.size + old.size;
}

/**
 * Parses and normalises an address. RFC 7622 §3.1
 *
 * Each part is limited to 1023 bytes of UTF-8 after normalisation, so the whole is at most 3071 bytes.
 * Cost: a map look-up where the text was seen lately, else O(length); ASCII takes no Unicode tables.
 * Only texts that are addresses are remembered, and none keeps the stanza it was cut out of alive.
 *
 * @param text as received, entities resolved; white space around it is an error, not trimmed.
 * @returns `undefined` when malformed. A peer can cause that: stanza callers answer `<jid-malformed/>`
 *   (RFC 6120 §8.3.3.8), stream callers close with `<improper-addressing/>` (§4.9.3.7).
 */
export function parseJid(text: string): Jid | undefined {
  const known = young.get(text);
  if (known !== undefined) return known;
  return parseUnknown(text);
}

function parseUnknown(text: string): Jid | undefined {
  const faded = old.get(text);
  if (faded !== undefined) {
    remember(faded.full === text ? faded.full : detach(text), faded);
    return faded;
  }
  const slash = text.indexOf('/');
  const address = slash === -1 ? text : text.slice(0, slash);
  const at = address.indexOf('@');
  const local = at === -1 ? '' : normalizeLocal(address.slice(0, at));
  if (local === undefined) return undefined;
  const domain = normalizeDomain(at === -1 ? address : address.slice(at + 1));
  if (domain === undefined) return undefined;
  const resource = slash === -1 ? '' : normalizeResource(text.slice(slash + 1));
  if (resource === undefined) return undefined;
  const jid = new Jid(local, domain, resource);
  if (text.length <= MAX_CACHED_LENGTH && maxCached > 0) remember(jid.full === text ? jid.full : detach(text), jid);
  return jid;
}

/**
 * Builds an address of parts that need not be normalised.
 *
 * @param local '' for none. @param resource '' or left out for none.
 * @returns `undefined` where a part is malformed.
 */
export function makeJid(local: string, domain: string, resource = ''): Jid | undefined {
  const normalLocal = local === '' ? '' : normalizeLocal(local);
  const normalDomain = normalizeDomain(domain);
  const normalResource = resource === '' ? '' : normalizeResource(resource);
  if (normalLocal === undefined || normalDomain === undefined || normalResource === undefined) return undefined;
  return new Jid(normalLocal, normalDomain, normalResource);
}

const NON_ASCII = /[^\x00-\x7F]/;

const REFUSED = 0;
const AS_IS = 1;
const UPPER_CASE = 2;

/** For localparts: printable ASCII but space and RFC 7622 §3.3.1. */
const LOCAL_CODES = asciiTable((char) => char > ' ' && char <= '~' && !`"&'/:<>@`.includes(char));
/** For domains: letters, digits, hyphen, dot. */
const DOMAIN_CODES = asciiTable((char) => /[-.a-zA-Z0-9]/.test(char));

/** @param text one localpart. @returns its normal form, or `undefined` if it is none. RFC 7622 §3.3 */
export function normalizeLocal(text: string): string | undefined {
  if (text === '') return undefined;
  let hasUpper = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return normalizeUnicodeLocal(text);
    const verdict = LOCAL_CODES[code];
    if (verdict === REFUSED) return undefined;
    if (verdict === UPPER_CASE) hasUpper = true;
  }
  if (text.length > MAX_PART_BYTES) return undefined;
  return hasUpper ? text.toLowerCase() : text;
}

function normalizeUnicodeLocal(text: string): string | undefined {
  const local = usernameCaseMapped(text);
  // Looked at after mapping: a fullwidth '＠' becomes '@'.
  if (local === undefined || /["&'/:<>@]/.test(local) || exceedsPart(local)) return undefined;
  return local;
}

/** @param text one resourcepart, '' being none. @returns its normal form, or `undefined` if it is none. RFC 7622 §3.4 */
export function normalizeResource(text: string): string | undefined {
  if (text === '') return undefined;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return normalizeUnicodeResource(text);
    if (code < 0x20 || code === 0x7f) return undefined;
  }
  return text.length > MAX_PART_BYTES ? undefined : text;
}

/** RFC 3454 table B.1, "commonly mapped to nothing", as far as OpaqueString refuses it in every place. */
const MAPPED_TO_NOTHING = /[\u00AD\u034F\u180B-\u180D\u200B\u2060\uFE00-\uFE0F\uFEFF]/g;
const JOINERS = /[\u200C\u200D]/g;

function normalizeUnicodeResource(text: string): string | undefined {
  if (text.length > MAX_PRECIS_LENGTH) return undefined;
  const visible = text.replace(MAPPED_TO_NOTHING, '');
  const resource = opaqueString(visible) ?? opaqueString(visible.replace(JOINERS, ''));
  return resource === undefined || exceedsPart(resource) ? undefined : resource;
}

const HYPHEN = 0x2d;
const DOT = 0x2e;

/** @param text a domain name or an address literal. @returns its normal form, or `undefined` if it is none. RFC 7622 §3.2 */
export function normalizeDomain(text: string): string | undefined {
  if (text.length > MAX_PRECIS_LENGTH) return undefined;
  let hasUpper = false;
  let labelStart = 0;
  let previous = DOT;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 0x7f) return normalizeUnicodeDomain(text);
    const verdict = DOMAIN_CODES[code];
    if (verdict === REFUSED) return text.charCodeAt(0) === 0x5b ? normalizeIpv6(text) : undefined;
    if (verdict === UPPER_CASE) hasUpper = true;
    if (code === DOT) {
      if (previous === DOT || previous === HYPHEN || i - labelStart > MAX_LABEL_LENGTH) return undefined;
      labelStart = i + 1;
    } else if (code === HYPHEN) {
      if (previous === DOT) return undefined;
      if (i - labelStart === 3 && previous === HYPHEN && isALabel(text, labelStart)) return normalizeUnicodeDomain(text);
    }
    previous = code;
  }
  if (previous === HYPHEN || text.length - labelStart > MAX_LABEL_LENGTH || text === '') return undefined;
  let domain = previous === DOT ? text.slice(0, -1) : text; // the trailing dot: RFC 7622 §3.2
  if (domain.length > MAX_PART_BYTES || domain === '') return undefined;
  if (hasUpper) domain = domain.toLowerCase();
  return endsInNumber(domain) && !isIPv4(domain) ? undefined : domain;
}

function isALabel(text: string, at: number): boolean {
  return (text.charCodeAt(at) | 0x20) === 0x78 && (text.charCodeAt(at + 1) | 0x20) === 0x6e;
}

/** A name whose last label is a number is an IPv4 address or nothing. RFC 1123 §2.1 */
function endsInNumber(domain: string): boolean {
  const last = domain.charCodeAt(domain.length - 1);
  return last >= 0x30 && last <= 0x39 && /(?:^|\.)[0-9]+$/.test(domain);
}

/** Mappings of RFC 7622 §3.2.1, and of RFC 5895 §2 which adds the ideographic full stop; then each label on its own. */
function normalizeUnicodeDomain(text: string): string | undefined {
  if (!isNormalizable(text)) return undefined;
  const mapped = mapWidth(text).replaceAll('\u3002', '.').toLowerCase().normalize('NFC');
  if (!NON_ASCII.test(mapped) && !mapped.includes('xn--')) return normalizeDomain(mapped);
  const labels: string[] = [];
  let asciiLength = -1;
  for (const label of (mapped.endsWith('.') ? mapped.slice(0, -1) : mapped).split('.')) {
    const pair = NON_ASCII.test(label) || label.startsWith('xn--') ? toULabel(label) : toLdhLabel(label);
    if (pair === undefined) return undefined;
    asciiLength += pair.ascii.length + 1;
    if (asciiLength > MAX_ASCII_NAME_LENGTH) return undefined;
    labels.push(pair.unicode);
  }
  const domain = labels.join('.');
  if (endsInNumber(domain) || exceedsPart(domain)) return undefined;
  // RFC 5893 §2, condition 1 holds for every label of a name that has one from right to left.
  return hasRightToLeft(domain) && labels.some((label) => /^\p{Nd}/u.test(label)) ? undefined : domain;
}

/** One label in the form it is shown in and the form DNS has it in. */
interface LabelPair {
  readonly unicode: string;
  readonly ascii: string;
}

function toLdhLabel(label: string): LabelPair | undefined {
  const isLdh = label.length <= MAX_LABEL_LENGTH && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/.test(label);
  return isLdh ? { unicode: label, ascii: label } : undefined;
}

/** Decodes an A-label, checks a U-label: each must lead back to the other, so a name has one form only. RFC 5891 §4.2 and §5.4 */
function toULabel(label: string): LabelPair | undefined {
  if (label.length > MAX_LABEL_LENGTH) return undefined;
  const unicode = label.startsWith('xn--') ? domainToUnicode(label) : label;
  if (!NON_ASCII.test(unicode) || !isULabel(unicode)) return undefined;
  const ascii = domainToASCII(unicode);
  if (!ascii.startsWith('xn--') || ascii.length > MAX_LABEL_LENGTH || domainToUnicode(ascii) !== unicode) return undefined;
  return unicode === label || ascii === label ? { unicode, ascii } : undefined;
}

function normalizeIpv6(text: string): string | undefined {
  if (!text.endsWith(']') || text.includes('%') || !isIPv6(text.slice(1, -1))) return undefined;
  return new URL(`http://${text}/`).hostname;
}

/** A normalised domain as DNS and certificates name it: A-labels. */
export function asciiDomain(domain: string): string {
  return NON_ASCII.test(domain) ? domainToASCII(domain) : domain;
}

function exceedsPart(part: string): boolean {
  return Buffer.byteLength(part) > MAX_PART_BYTES;
}

/** Inserts into the young generation; when that is full, the old one is forgotten at once. */
function remember(text: string, jid: Jid): void {
  if (young.size >= maxCached) {
    old = young;
    young = new Map();
  }
  young.set(text, jid);
}

/**
 * A copy that does not keep a larger string alive: V8 represents a slice by a reference
 * to what it was cut out of, which may be a buffer of many stanzas.
 */
function detach(text: string): string {
  return (' ' + text).slice(1);
}

/** Local and domain part hold nothing to escape. */
function escapeResource(full: string, bareLength: number): string {
  for (let i = bareLength + 1; i < full.length; i++) {
    switch (full.charCodeAt(i)) {
      case 0x22: // "
      case 0x26: // &
      case 0x27: // '
      case 0x3c: // <
      case 0x3e: // >
        return full
          .replaceAll('&', '&amp;')
          .replaceAll('<', '&lt;')
          .replaceAll('>', '&gt;')
          .replaceAll("'", '&apos;')
          .replaceAll('"', '&quot;');
      default:
    }
  }
  return full;
}

function asciiTable(isAllowed: (char: string) => boolean): Uint8Array {
  return Uint8Array.from({ length: 0x80 }, (_, code) => {
    const char = String.fromCharCode(code);
    if (!isAllowed(char)) return REFUSED;
    return char >= 'A' && char <= 'Z' ? UPPER_CASE : AS_IS;
  });
}
