/**
 * One account as a document of XEP-0227. Rows are read in pages and text is given out in pieces, so neither the account nor
 * the document is ever in memory as a whole. The account may be in use meanwhile: each row is as it was at one moment, what was
 * durable before is in the document, and what changes after is in it or not.
 */
import { ACCOUNTS, CREDENTIALS } from '../core/accounts.ts';
import type { ModuleSpec } from '../core/module.ts';
import type { Portable } from '../core/portable.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { Store } from '../store/store.ts';
import { el } from '../xml/element.ts';
import { escapeAttr, serialize } from '../xml/serialize.ts';
import { formatDateTime } from '../xmpp/date-time.ts';
import type { Jid } from '../xmpp/jid.ts';
import { scramXml } from './credentials.ts';
import { archiveKeyOf, LOG_PORTABLE } from './log.ts';
import { ARCHIVE_KEY, NS_PIE, NS_ROOKERY } from './names.ts';
import { rawTables, writeRawRows } from './raw-rows.ts';
import { StoredAccount } from './rows.ts';

/** Of the pieces, in UTF-16 units; one element may be longer. */
const PIECE_LENGTH = 64 * 1024;

/**
 * @param modules whose tables are exported: all there are, since an account may have rows of one that is off now.
 * @param isInUse whether a server works with the store. If not, what clients had not acknowledged is among the offline messages.
 * @throws OperatorError ERR_NO_ACCOUNT.
 */
export async function* exportAccount(store: Store, jid: Jid, modules: readonly ModuleSpec[], isInUse: boolean): AsyncGenerator<string> {
  let piece = '';
  for await (const text of documentOf(store, jid, modules, isInUse)) {
    piece += text;
    if (piece.length < PIECE_LENGTH) continue;
    yield piece;
    piece = '';
  }
  yield piece;
}

async function* documentOf(store: Store, jid: Jid, modules: readonly ModuleSpec[], isInUse: boolean): AsyncGenerator<string> {
  const account = new StoredAccount(store, jid, isInUse);
  const row = await account.get(ACCOUNTS, []);
  if (row === undefined)
    throw new OperatorError('ERR_NO_ACCOUNT', `There is no account ${jid.bare}. 'rookery user list' shows those that are.`);
  yield `<?xml version='1.0' encoding='UTF-8'?>\n<server-data xmlns='${NS_PIE}'>\n`;
  const key = await archiveKeyOf(account);
  const keyAttr = key === undefined ? '' : ` xmlns:rookery='${NS_ROOKERY}' rookery:${ARCHIVE_KEY[0]}='${escapeAttr(key)}'`;
  yield `<host jid='${escapeAttr(jid.domain)}'>\n<user name='${escapeAttr(jid.local)}'${keyAttr}>\n`;
  const [offline, ...archive] = LOG_PORTABLE;
  yield* elementsOf(offline!, account); // first: XEP-0227 §9
  for await (const page of account.pages(CREDENTIALS)) for (const { value } of page) yield `${scramXml(value)}\n`;
  const { createdAtMs, isEnabled } = row;
  yield `${serialize(el('account', NS_ROOKERY, { created: formatDateTime(createdAtMs), enabled: String(isEnabled) }))}\n`;
  for (const { portable = [] } of modules) for (const part of portable) yield* elementsOf(part, account);
  for (const part of archive) yield* elementsOf(part, account);
  for await (const text of writeRawRows(account, rawTables(modules))) yield `${text}\n`;
  yield '</user>\n</host>\n</server-data>\n';
}

/** A container without content is left out. */
async function* elementsOf({ within, write }: Portable, account: StoredAccount): AsyncGenerator<string> {
  let isOpen = false;
  for await (const text of write(account)) {
    if (within !== undefined && !isOpen) yield `<${within[0]} xmlns='${escapeAttr(within[1])}'>\n`;
    isOpen = true;
    yield `${text}\n`;
  }
  if (within !== undefined && isOpen) yield `</${within[0]}>\n`;
}
