/** What transcripts about archives have in common. */
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { childOf, childElements, textOf, type XmlElement } from '../harness/xml.ts';

export const MAM = 'urn:xmpp:mam:2';
type Play = (cast: CastOfClients) => Promise<void>;

/** `transcript`, where an archive is needed. Prosody 0.12 and ejabberd are started without one. */
export function scene(title: string, ...rest: [Play] | [TranscriptOptions, Play]): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  transcript(title, { onlyOurs: 'the others are started without an archive', ...options }, play);
}

const FORWARD = 'urn:xmpp:forward:0';
let nextId = 1;

export interface Asking {
  /** Fields of the form by name; one value or several. */
  readonly form?: Readonly<Record<string, string | readonly string[]>>;
  /** Content of the RSM `<set/>`. */
  readonly set?: string;
  /** Attributes and further content of `<query/>`. */
  readonly attrs?: string;
  readonly more?: string;
  readonly to?: string;
}

export interface Result {
  readonly id: string;
  readonly body: string;
  readonly stamp: string;
  /** The forwarded message. */
  readonly message: XmlElement;
}

export interface Answer {
  /** As they came. */
  readonly results: readonly Result[];
  readonly isComplete: boolean;
  readonly first: string | undefined;
  readonly last: string | undefined;
  readonly count: string | undefined;
  readonly index: string | undefined;
  /** Name of the condition, where an error came. */
  readonly error: string | undefined;
}

/** The form of a query. */
export function formXml(fields: NonNullable<Asking['form']>): string {
  const field = ([name, values]: [string, string | readonly string[]]): string =>
    `<field var='${name}'>${[values]
      .flat()
      .map((value) => `<value>${value}</value>`)
      .join('')}</field>`;
  return `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${MAM}</value></field>${Object.entries(fields).map(field).join('')}</x>`;
}

export function queryXml({ form, set, attrs = '', more = '' }: Asking): string {
  const rsm = set === undefined ? '' : `<set xmlns='http://jabber.org/protocol/rsm'>${set}</set>`;
  return `<query xmlns='${MAM}' ${attrs}>${form === undefined ? '' : formXml(form)}${rsm}${more}</query>`;
}

/** Asks the own archive and takes what comes; other stanzas that are there by then are dropped. */
export async function asksArchive(client: Client, asking: Asking = {}): Promise<Answer> {
  const id = `mam-${nextId++}`;
  await client.sends(`<iq type='set' id='${id}' ${asking.to === undefined ? '' : `to='${asking.to}'`}>${queryXml(asking)}</iq>`);
  const iq = await client.takes('the end of the results', ({ name, attrs }) => name === 'iq' && attrs['id'] === id);
  const results = (await client.collects()).flatMap(resultOf);
  const fin = childOf(iq, 'fin', MAM);
  const set = fin && childOf(fin, 'set', 'http://jabber.org/protocol/rsm');
  const error = childOf(iq, 'error');
  const text = (name: string): string | undefined => {
    const child = set && childOf(set, name);
    return child && textOf(child);
  };
  return {
    results,
    isComplete: fin?.attrs['complete'] === 'true',
    first: text('first'),
    last: text('last'),
    count: text('count'),
    index: (set && childOf(set, 'first'))?.attrs['index'],
    error: error && childElements(error)[0]!.name,
  };
}

/** The result in a message, if there is one. */
function resultOf(message: XmlElement): Result[] {
  const result = childOf(message, 'result', MAM);
  const forwarded = result && childOf(result, 'forwarded', FORWARD);
  const original = forwarded && childOf(forwarded, 'message', 'jabber:client');
  if (result === undefined || forwarded === undefined || original === undefined) return [];
  const body = childOf(original, 'body', 'jabber:client');
  const stamp = childOf(forwarded, 'delay', 'urn:xmpp:delay')?.attrs['stamp'] ?? '';
  return [{ id: result.attrs['id'] ?? '', body: body === undefined ? '' : textOf(body), stamp, message: original }];
}

export const bodiesOf = ({ results }: Answer): string[] => results.map(({ body }) => body);

/** Sends chat messages with these texts. */
export async function says(client: Client, to: string, ...bodies: readonly string[]): Promise<void> {
  for (const body of bodies) await client.sends(`<message type='chat' to='${to}'><body>${body}</body></message>`);
  await client.sync();
}
