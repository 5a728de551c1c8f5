/** Reading an account's archive to its end. XEP-0313 */
import { attribute } from './wire.ts';
import type { ArchiveEntry, DrillClient } from './client.ts';

const MAM = 'urn:xmpp:mam:2';
const PAGE = 200;

/** Oldest first; undefined where the account has no archive. Rejects where the server does not give it. */
export async function readArchive(client: DrillClient): Promise<ArchiveEntry[] | undefined> {
  const features = await client.ask('get', client.bare, `<query xmlns='http://jabber.org/protocol/disco#info'/>`);
  if (!features.body.includes(MAM)) return undefined;
  const entries: ArchiveEntry[] = [];
  const form = `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${MAM}</value></field></x>`;
  let after = '';
  for (;;) {
    client.takeArchived();
    const rsm = `<set xmlns='http://jabber.org/protocol/rsm'><max>${PAGE}</max>${after === '' ? '' : `<after>${after}</after>`}</set>`;
    const answer = await client.ask('set', client.bare, `<query xmlns='${MAM}' queryid='drill'>${form}${rsm}</query>`);
    if (attribute(answer, 'type') !== 'result') throw new Error(`the archive cannot be read: ${answer.body}`);
    const page = client.takeArchived();
    entries.push(...page);
    const last = /<last>([^<]*)<\/last>/.exec(answer.body)?.[1];
    const isComplete = /<fin\b[^>]*\scomplete=['"](?:true|1)['"]/.test(answer.body);
    if (isComplete || last === undefined || page.length === 0) return entries;
    after = last;
  }
}

/** Where two readings of one archive differ, in words; undefined where they do not. What an archive says, it says for ever. */
export function differenceOf(before: readonly ArchiveEntry[], after: readonly ArchiveEntry[]): string | undefined {
  const at = before.findIndex(({ id, body }, i) => after[i]?.id !== id || after[i].body !== body);
  if (at === -1 && after.length === before.length) return undefined;
  return `${after.length} messages in place of ${before.length}, the first difference at ${at === -1 ? before.length : at}`;
}
