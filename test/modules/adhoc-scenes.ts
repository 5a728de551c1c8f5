/** Steps that transcripts about ad-hoc commands have in common. */
import type { Client } from '../harness/cast.ts';
import { childElements, childOf, textOf, type XmlElement } from '../harness/xml.ts';

export const COMMANDS = 'http://jabber.org/protocol/commands';
export const ADMIN = 'http://jabber.org/protocol/admin';
export const DATA = 'jabber:x:data';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

export interface Step {
  readonly node: string;
  readonly session?: string;
  readonly action?: string;
  /** Fields of the form; undefined: no form. */
  readonly fields?: Readonly<Record<string, string | readonly string[]>>;
  readonly form?: 'submit' | 'cancel';
  readonly to?: string;
}

let next = 1;

/** What the server answers: an IQ. */
export async function asks(
  client: Client,
  { node, session, action, fields, form = 'submit', to = client.domain }: Step,
): Promise<XmlElement> {
  const id = `cmd${next++}`;
  const values = Object.entries(fields ?? {}).map(
    ([name, value]) =>
      `<field var='${name}'>${[value]
        .flat()
        .map((each) => `<value>${each}</value>`)
        .join('')}</field>`,
  );
  const x = fields === undefined ? '' : `<x xmlns='${DATA}' type='${form}'>${values.join('')}</x>`;
  const attributes = `${session === undefined ? '' : ` sessionid='${session}'`}${action === undefined ? '' : ` action='${action}'`}`;
  await client.sends(`<iq type='set' id='${id}' to='${to}'><command xmlns='${COMMANDS}' node='${node}'${attributes}>${x}</command></iq>`);
  return client.takes(`the answer to ${id}`, ({ name, attrs }) => name === 'iq' && attrs['id'] === id);
}

/** The `<command/>` of an answer that is no error. */
export async function goesOn(client: Client, step: Step): Promise<XmlElement> {
  const answer = await asks(client, step);
  const command = childOf(answer, 'command');
  if (answer.attrs['type'] !== 'result' || command === undefined) throw new Error(`refused: ${JSON.stringify(answer)}`);
  return command;
}

/** `condition` or `condition/application-condition` of an answer that is an error. */
export async function isRefused(client: Client, step: Step): Promise<string> {
  const error = childOf(await asks(client, step), 'error');
  if (error === undefined) return 'done';
  const all = childElements(error).filter(({ name }) => name !== 'text');
  return all
    .toSorted((one, other) => Number(other.ns === STANZAS) - Number(one.ns === STANZAS))
    .map(({ name }) => name)
    .join('/');
}

/** Runs a command that is one form; the `<command/>` that ends it. */
export async function fillsIn(client: Client, node: string, fields: NonNullable<Step['fields']>): Promise<XmlElement> {
  const { attrs } = await goesOn(client, { node });
  return goesOn(client, { node, session: attrs['sessionid']!, fields });
}

/** The same where it is refused. */
export async function fillsInVainly(client: Client, node: string, fields: NonNullable<Step['fields']>): Promise<string> {
  const { attrs } = await goesOn(client, { node });
  return isRefused(client, { node, session: attrs['sessionid']!, fields });
}

/** Values of a form's field. */
export function valuesOf(command: XmlElement, name: string): string[] {
  const x = childOf(command, 'x', DATA);
  const field = childElements(x!).find((child) => child.name === 'field' && child.attrs['var'] === name);
  return field === undefined
    ? []
    : childElements(field)
        .filter((child) => child.name === 'value')
        .map(textOf);
}

/** Names of a form's fields. */
export function fieldsOf(command: XmlElement): string[] {
  const x = childOf(command, 'x', DATA);
  return childElements(x!)
    .filter(({ name }) => name === 'field')
    .map(({ attrs }) => attrs['var'] ?? '');
}

/** Texts of the notes, each with its type. */
export function notesOf(command: XmlElement): string[] {
  return childElements(command)
    .filter(({ name }) => name === 'note')
    .map((note) => `${note.attrs['type']}: ${textOf(note)}`);
}
