/** Reports of spam and abuse that come with a block: kept with the account, and sent to those who administer its host. XEP-0377 */
import { z } from 'zod';
import { bareAddress, count, flag, list } from '../../config/types.ts';
import type { AccountContext } from '../../core/context.ts';
import { defineModule, type AccountSlot } from '../../core/module.ts';
import { adminsOf } from '../../core/roles.ts';
import type { Store } from '../../store/store.ts';
import { el, type Element } from '../../xml/element.ts';
import { parseJid } from '../../xmpp/jid.ts';
import { NS as CORE } from '../../xmpp/namespaces.ts';
import { makeStanza } from '../../xmpp/stanza.ts';
import { reportList } from './commands.ts';
import { NS, REPORTS, reportOf, reportText, type Report } from './report.ts';

const OPTIONS = z.strictObject({
  /** Who is sent reports; without any, the admins of the host. */
  recipients: list(bareAddress()).schema.default([]),
  /** Whether reports are sent as messages; they are kept in any case. */
  messages: flag().schema.default(true),
  /** Reports kept of one account; the oldest go. */
  max_reports: count({ min: 1, max: 10_000 }).schema.default(100),
});

/** Times of the account's reports, which are their keys, in order. */
const KEPT: AccountSlot<{ times: readonly number[] }> = {
  name: 'reporting',
  load: async (store: Store, bare) => ({ times: (await store.list(REPORTS, bare)).map(({ key }) => Number(key[0])) }),
};

const reporting = defineModule({
  name: 'reporting',
  implements: [{ spec: 'XEP-0377', version: '0.4.1', status: 'complete', note: 'for the operator; nothing is sent to other servers' }],
  needs: ['blocking'],
  config: OPTIONS,
  tables: [REPORTS],
  slots: [KEPT],
  features: [NS], // §3
  accountFeatures: [NS],
  commands: [reportList],
  hooks: { jid_blocked: takeReport },
});
export default reporting;

function takeReport(account: AccountContext, address: string, item: Element): void {
  const report = reportOf(item, address, account.now);
  if (report === undefined) return;
  keep(account, report);
  const { reason } = report;
  account.host.services.log.info('abuse_reported', { account: account.bare, about: address, reason });
  if (account.host.moduleConfig(reporting).messages) tellOperators(account, report);
}

function keep(account: AccountContext, report: Report): void {
  const kept = account.state(KEPT);
  const time = Math.max(report.atMs, (kept.times.at(-1) ?? 0) + 1);
  const times = [...kept.times, time];
  account.put(REPORTS, [time], report);
  while (times.length > account.host.moduleConfig(reporting).max_reports) account.delete(REPORTS, [times.shift()!]);
  kept.times = times;
}

/** From the server, so that nobody who is reported can keep them from arriving, and no answer goes to who reports. */
function tellOperators(account: AccountContext, report: Report): void {
  const { host, bare, now } = account;
  const { recipients } = host.moduleConfig(reporting);
  const body = el('body', CORE.client, {}, reportText(bare, report));
  for (const address of recipients.length > 0 ? recipients : adminsOf(host)) {
    const to = parseJid(address);
    if (to === undefined) continue;
    const stanza = makeStanza(
      { kind: 'message', type: 'normal', id: `report-${now}`, from: host.jid, to },
      el('subject', CORE.client, {}, 'Report'),
      body,
    );
    account.route(stanza);
  }
}
