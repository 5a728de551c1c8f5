/** Stream errors: said once, then the stream is over. RFC 6120 §4.9 */
import { el, type Element } from '../xml/element.ts';
import { NS } from './namespaces.ts';

/** RFC 6120 §4.9.3 */
export const STREAM_CONDITIONS = [
  'bad-format',
  'bad-namespace-prefix',
  'conflict',
  'connection-timeout',
  'host-gone',
  'host-unknown',
  'improper-addressing',
  'internal-server-error',
  'invalid-from',
  'invalid-namespace',
  'invalid-xml',
  'not-authorized',
  'not-well-formed',
  'policy-violation',
  'remote-connection-failed',
  'reset',
  'resource-constraint',
  'restricted-xml',
  'see-other-host',
  'system-shutdown',
  'undefined-condition',
  'unsupported-encoding',
  'unsupported-feature',
  'unsupported-stanza-type',
  'unsupported-version',
] as const;
export type StreamCondition = (typeof STREAM_CONDITIONS)[number];

const KNOWN: ReadonlySet<string> = new Set(STREAM_CONDITIONS);

/**
 * The `<stream:error/>`. RFC 6120 §4.9.2
 *
 * @param text for people, in English; must not echo what the peer sent.
 * @param app application-specific condition, of a namespace of its own. §4.9.4
 * @param host with `see-other-host` only: where to connect instead; IPv6 addresses in brackets. §4.9.3.19
 */
export function streamErrorElement(condition: StreamCondition, text?: string, app?: Element, host?: string): Element {
  return el(
    'error',
    NS.streams,
    {},
    el(condition, NS.streamErrors, {}, condition === 'see-other-host' ? host : undefined),
    text !== undefined && el('text', NS.streamErrors, { 'xml:lang': 'en' }, text),
    app,
  );
}

/** A stream error of a peer. */
export interface StreamError {
  readonly condition: StreamCondition;
  readonly text: string | undefined;
  readonly appCondition: Element | undefined;
  /** Of `see-other-host`. */
  readonly host: string | undefined;
}

/** @returns `undefined` if `element` is no stream error; a condition we do not know is `undefined-condition`. */
export function parseStreamError(element: Element): StreamError | undefined {
  if (!element.is('error', NS.streams)) return undefined;
  let condition: StreamCondition = 'undefined-condition';
  let text: string | undefined;
  let host: string | undefined;
  let appCondition: Element | undefined;
  for (const child of element.elements()) {
    if (child.ns !== NS.streamErrors) {
      appCondition ??= child;
    } else if (child.name === 'text') {
      text ??= child.text();
    } else if (KNOWN.has(child.name)) {
      condition = child.name as StreamCondition;
      if (condition === 'see-other-host') host = child.text().trim() || undefined;
    }
  }
  return { condition, text, appCondition, host };
}
