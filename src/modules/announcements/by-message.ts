/**
 * A message to `host/announce/…` as a command, as ejabberd's mod_announce and Openfire have it:
 *
 *     announce/online       announce/all-hosts/online      who is online
 *     announce/all          announce/all-hosts/all         every account
 *     announce/motd         announce/all-hosts/motd        sets the message of the day; …/update changes it, …/delete removes it
 */
import type { AccountContext } from '../../core/context.ts';
import { callerOf } from '../../core/roles.ts';
import type { Session } from '../../core/session.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { errorAnswer, type Stanza } from '../../xmpp/stanza.ts';
import { bodyOf } from './words.ts';

const COMMANDS: Readonly<Record<string, string>> = {
  online: 'announce online',
  all: 'announce all',
  motd: 'motd set',
  'motd/update': 'motd update',
  'motd/delete': 'motd delete',
};
const ALL_HOSTS = 'all-hosts/';

/** True where it is under way; its end is told only where it is an error. */
export function announceByMessage(stanza: Stanza, account: AccountContext, session: Session): boolean | StanzaError {
  const { host } = account;
  const path = stanza.to.resource.slice('announce/'.length);
  const isForAll = path.startsWith(ALL_HOSTS);
  const name = COMMANDS[isForAll ? path.slice(ALL_HOSTS.length) : path];
  if (name === undefined) return false;
  const caller = callerOf(host, stanza.from, session);
  if (caller.role !== 'admin') return new StanzaError('forbidden');
  const words = bodyOf(stanza);
  const isRemoval = name === 'motd delete';
  if (words === undefined && !isRemoval) return new StanzaError('bad-request', 'An announcement has a body');
  const about = isForAll ? {} : { host: stanza.to.domain };
  const done = host.services.commands.run(name, isRemoval ? about : { ...words, ...about }, caller);
  account.later(done, (current, outcome) => {
    if (outcome.ok || !stanza.mayBeAnsweredWithError) return;
    const condition = outcome.code === 'ERR_COMMAND_FORBIDDEN' ? 'forbidden' : 'not-acceptable';
    current.route(errorAnswer(stanza, new StanzaError(condition, outcome.message)));
  });
  return true;
}
