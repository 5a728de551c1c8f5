/** What the owner wants archived. XEP-0441 */
import type { AccountContext } from '../../core/context.ts';
import type { IqAnswer, IqRequest } from '../../core/module.ts';
import { el, type Element } from '../../xml/element.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { MAM } from './namespace.ts';
import { optionsOf } from './options.ts';
import { ARCHIVE, DEFAULT_BEHAVIOURS, Preferences, PREFERENCES, type DefaultBehaviour, type PreferenceRow } from './state.ts';

export { PREFERENCES } from './state.ts';

/** Addresses in both lists together. */
const MAX_JIDS = 1_000;

/** §2.1 */
export function tellPreferences(_request: IqRequest, account: AccountContext): IqAnswer {
  return preferencesElement(account);
}

/** §2.1: the answer holds what applies from now on. */
export function changePreferences({ payload }: IqRequest, account: AccountContext): IqAnswer {
  const row = readPreferences(payload);
  if (row instanceof StanzaError) return row;
  account.put(PREFERENCES, [], row);
  account.state(ARCHIVE).preferences = new Preferences(row);
  return preferencesElement(account);
}

/** `<prefs/>` as a row, or what is wrong with it. */
export function readPreferences(payload: Element): PreferenceRow | StanzaError {
  const behaviour = DEFAULT_BEHAVIOURS.find((each) => each === payload.attr('default'));
  if (behaviour === undefined) return new StanzaError('bad-request', 'The default must be always, never or roster'); // §2.1.1
  const always = readJids(payload, 'always');
  const never = readJids(payload, 'never');
  if (always === undefined || never === undefined) return new StanzaError('jid-malformed');
  if (always.length + never.length > MAX_JIDS) return new StanzaError('not-acceptable', `More than ${MAX_JIDS} addresses`);
  return { default: behaviour, always, never };
}

/** §2.1.2, §2.1.3: a missing list is an empty one. */
function readJids(payload: Element, name: string): string[] | undefined {
  const jids = new Set<string>();
  for (const child of payload.child(name)?.childrenNamed('jid') ?? []) {
    const jid = parseJid(child.text().trim());
    if (jid === undefined) return undefined;
    jids.add(jid.full);
  }
  return [...jids];
}

function preferencesElement(account: AccountContext): Element {
  const { preferences } = account.state(ARCHIVE);
  return prefs(preferences?.default ?? optionsOf(account.host).default, preferences?.always ?? [], preferences?.never ?? []);
}

/** `<prefs/>`. §2.1 */
export function prefs(behaviour: DefaultBehaviour, always: Iterable<string>, never: Iterable<string>): Element {
  const list = (name: string, jids: Iterable<string>): Element => el(name, MAM, {}, ...[...jids].map((jid) => el('jid', MAM, {}, jid)));
  return el('prefs', MAM, { default: behaviour }, list('always', always), list('never', never));
}
