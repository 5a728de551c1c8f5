/** What everybody may do about the account they are logged in to. */
import { z } from 'zod';
import { lineArgument, NO_ARGUMENTS, passwordArgument, tableOf } from '../core/arguments.ts';
import { defineCommand, type Caller } from '../core/command.ts';
import { passwordGiven } from '../core/command-input.ts';
import { OperatorError } from '../kernel/errors.ts';
import { ownPasswordRefusal } from '../modules/registration/index.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { timeText } from './session.ts';

const own = { role: 'user', isPersonal: true } as const;

/** Personal commands are given by an entity of XMPP only. */
function caller({ jid }: Caller): Jid {
  return parseJid(jid!)!;
}

export const ownPasswd = defineCommand({
  ...own,
  name: 'me passwd',
  summary: 'Change your password, and end your other sessions',
  args: z.strictObject({ password: passwordArgument('New password') }),
  async run({ password }, by, server) {
    const jid = caller(by);
    const host = server.config.hosts.find(({ domain }) => domain === jid.domain)!;
    const refusal = ownPasswordRefusal(host, jid.local, password);
    if (refusal !== undefined) throw new OperatorError('ERR_PASSWORD', refusal);
    const scram = await server.derive(passwordGiven(password));
    await server.ask(jid.bare, { kind: 'set_credentials', scram, closeSessions: false });
    const { sessions } = await server.ask(jid.bare, { kind: 'get_status' });
    for (const session of sessions) {
      if (session.jid === jid.full) continue;
      const { resource } = parseJid(session.jid)!;
      await server.ask(jid.bare, { kind: 'kick', resource, reason: 'password_changed' });
    }
    return {};
  },
  report: () => ({ text: 'Your password is changed.' }),
});

export const ownSessions = defineCommand({
  ...own,
  name: 'me sessions',
  summary: 'List your sessions',
  args: NO_ARGUMENTS,
  async run(_args, by, server) {
    const jid = caller(by);
    const { sessions } = await server.ask(jid.bare, { kind: 'get_status' });
    return sessions.map((session) => {
      const { remoteAddress, boundAtMs, detachedAtMs } = session;
      return {
        resource: parseJid(session.jid)!.resource,
        remoteAddress,
        boundAtMs,
        isAway: detachedAtMs !== undefined,
        isThis: session.jid === jid.full,
      };
    });
  },
  report: (sessions) =>
    tableOf(sessions, 'You have no sessions.', {
      RESOURCE: ({ resource, isThis }) => (isThis ? `${resource} (this one)` : resource),
      FROM: ({ remoteAddress }) => remoteAddress,
      SINCE: ({ boundAtMs }) => timeText(boundAtMs),
      STATE: ({ isAway }) => (isAway ? 'away' : 'connected'),
    }),
});

export const ownKick = defineCommand({
  ...own,
  name: 'me kick',
  summary: 'End one of your other sessions, or all of them',
  args: z.strictObject({ resource: lineArgument('Resource of the session; all others without it').optional() }),
  async run({ resource }, by, server) {
    const jid = caller(by);
    const { sessions } = await server.ask(jid.bare, { kind: 'get_status' });
    const others = sessions.map((session) => parseJid(session.jid)!.resource).filter((each) => each !== jid.resource);
    const wanted = resource === undefined ? others : others.filter((each) => each === resource);
    if (resource !== undefined && wanted.length === 0)
      throw new OperatorError('ERR_NO_SESSION', `You have no other session '${resource}'.`);
    let count = 0;
    for (const each of wanted) count += await server.ask(jid.bare, { kind: 'kick', resource: each, reason: 'kicked' });
    return { count };
  },
  report: ({ count }) => ({ text: count === 1 ? 'Ended 1 session.' : `Ended ${count} sessions.` }),
});
