/** What many transcripts about rosters and presence begin with. */
import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { childElements, childOf, type XmlElement } from '../harness/xml.ts';

const NS_ROSTER = 'jabber:iq:roster';

type Play = (cast: CastOfClients) => Promise<void>;

/** ejabberd 24: */
const EJABBERD = 'pushes to resources that never asked for the roster, and before the result';
/** Prosody 0.12 with vcard_legacy: */
const PROSODY = 'adds vcard-temp:x:update to all presence, and acknowledges requests with "unavailable" (RFC 6121 §3.1.3 allows it)';

/** `transcript` for what all other servers do not do alike; see there for `differs`. */
export function scene(title: string, ...rest: [Play] | [TranscriptOptions, Play]): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  transcript(title, { ...options, differs: { ejabberd: EJABBERD, ...options.differs } }, play);
}

/** `scene` where presence is looked at closely. */
export function presenceScene(title: string, ...rest: [Play] | [TranscriptOptions, Play]): void {
  const [options, play] = rest.length === 1 ? [{}, rest[0]] : rest;
  scene(title, { ...options, differs: { prosody: PROSODY, ...options.differs } }, play);
}
let nextId = 1;

/** Asks for the roster, so that pushes come from now on. RFC 6121 §2.2 */
export async function becomesInterested(client: Client): Promise<void> {
  await rosterOf(client);
}

/** The items of a client's roster as `jid: subscription, ask` in order of their JIDs. */
export async function rosterOf(client: Client): Promise<string[]> {
  const id = `roster-${nextId++}`;
  await client.sends(`<iq type='get' id='${id}'><query xmlns='${NS_ROSTER}'/></iq>`);
  const answer = await client.takes('its roster', ({ attrs }) => attrs['id'] === id);
  const query = childOf(answer, 'query', NS_ROSTER);
  return childElements(query!)
    .map(({ attrs }) => [attrs['jid'], attrs['subscription'], attrs['ask'], attrs['approved'] && 'approved'].filter(Boolean).join(' '))
    .sort();
}

/** Afterwards `user` has a subscription to the presence of `contact`. Both are silent while they take no roster and send no presence. */
export async function subscribes(user: Client, contact: Client): Promise<void> {
  await user.sends(`<presence type='subscribe' to='${contact.bare}'/>`);
  await user.sync();
  await contact.sync();
  await contact.sends(`<presence type='subscribed' to='${user.bare}'/>`);
  await contact.sync();
  await user.sync();
}

/** Afterwards each sees the other's presence. To be called before either asks for his roster or becomes available. */
export async function befriends(one: Client, other: Client): Promise<void> {
  await subscribes(one, other);
  await subscribes(other, one);
}

/** The push of one item; attributes as given, `groups` as children. */
export function push(item: string): string {
  return `<iq type='set' id='{id}'><query xmlns='${NS_ROSTER}' ver='{any}'>${item}</query></iq>`;
}

/** The version that the query of a result or push carries. */
export function verOf(iq: XmlElement): string {
  return childOf(iq, 'query', NS_ROSTER)?.attrs['ver'] ?? '';
}

/** Presence of any content, as probes bring it. */
export function presenceOf(client: Client): string {
  return `<presence from='${client.full}' match:rest='ignore'/>`;
}

/** What a probe brings of somebody who is not there. RFC 6121 §4.3.2 (3) */
export function absenceOf(client: Client): string {
  return `<presence type='unavailable' from='${client.bare}' match:rest='ignore'/>`;
}

/**
 * Sends initial presence and takes in what it brings: presence of its contacts, who get its own.
 *
 * @param contacts mutual ones: those that are available, and those that are not.
 */
export async function appears(
  client: Client,
  { online = [], offline = [] }: { online?: readonly Client[]; offline?: readonly Client[] } = {},
): Promise<void> {
  await client.becomesAvailable();
  await client.receivesInAnyOrder(...online.map(presenceOf), ...offline.map(absenceOf));
  for (const contact of online) await contact.receives(presenceOf(client));
}
