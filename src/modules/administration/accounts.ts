/** Commands about accounts. XEP-0133 §4.1 – §4.10 */
import { CommandFailure, stage, type AdhocCommand } from '../../core/adhoc.ts';
import type { SessionStatus } from '../../core/messages.ts';
import { el, type Element } from '../../xml/element.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import { privateField, textField } from '../../xmpp/form-schema.ts';
import { parseJid, type Jid } from '../../xmpp/jid.ts';
import type { ListedContact } from '../roster/index.ts';
import { accountJid, accountJids, adminForm, forAccounts, jidsIn, nodeOf, resultForm } from './form.ts';

const NS_ROSTER = 'jabber:iq:roster';

/** §4.1 */
const addUser: AdhocCommand = {
  node: nodeOf('add-user'),
  name: 'Add User',
  command: 'user add',
  stages: [
    stage(
      adminForm('Adding a User', 'Fill out this form to add a user.', {
        accountjid: accountJid('The Jabber ID for the account to be added'),
        password: privateField({ label: 'The password for this account', isRequired: true }),
        'password-verify': privateField({ label: 'Retype password' }),
        email: textField({ label: 'Email address' }),
        given_name: textField({ label: 'Given name' }),
        surname: textField({ label: 'Family name' }),
      }),
    ),
  ],
  async run(values, { run }) {
    const again = values['password-verify'];
    if (again !== undefined && again !== values['password']) throw new CommandFailure('ERR_PASSWORD', 'The two passwords differ');
    await run('user add', { address: addressIn(values), password: values['password'] });
    return {};
  },
};

/** §4.7 */
const changePassword: AdhocCommand = {
  node: nodeOf('change-user-password'),
  name: 'Change User Password',
  command: 'user passwd',
  stages: [
    stage(
      adminForm('Changing a User Password', 'Fill out this form to change a user’s password.', {
        accountjid: accountJid('The Jabber ID for this account'),
        password: privateField({ label: 'The password for this account', isRequired: true }),
      }),
    ),
  ],
  async run(values, { run }) {
    await run('user passwd', { address: addressIn(values), password: values['password'] });
    return {};
  },
};

/** §4.8: for one account; a roster says nothing of whose it is. */
const getRoster: AdhocCommand = {
  node: nodeOf('get-user-roster'),
  name: 'Get User Roster',
  command: 'user roster',
  stages: [
    stage(
      adminForm('Getting a User’s Roster', 'Fill out this form to get a user’s roster.', {
        accountjids: accountJids('The Jabber ID(s) for which to retrieve the roster'),
      }),
    ),
  ],
  async run(values, { run }) {
    const payload: Element[] = [];
    for (const { full } of jidsIn(values, 'accountjids')) {
      const { address, contacts } = (await run('user roster', { address: full })) as { address: string; contacts: ListedContact[] };
      const items = contacts.map(({ address: jid, name, groups, subscription, ask }) =>
        el(
          'item',
          NS_ROSTER,
          { jid, name: name === '' ? undefined : name, subscription, ask: ask ? 'subscribe' : undefined },
          ...groups.map((group) => el('group', NS_ROSTER, {}, group)),
        ),
      );
      payload.push(resultForm([{ var: 'accountjids', type: 'jid-multi', values: [address] }], el('query', NS_ROSTER, {}, ...items)));
    }
    return { payload };
  },
};

interface Info {
  readonly address: string;
  readonly lastLogin: { readonly atMs: number; readonly count: number; readonly firstMs: number } | null;
  readonly rosterSize: number | null;
  readonly sessions: readonly SessionStatus[];
}

/** §4.9 */
const getLastLogin: AdhocCommand = {
  node: nodeOf('get-user-lastlogin'),
  name: 'Get User Last Login Time',
  command: 'user info',
  stages: [
    stage(
      adminForm('Getting a User’s Last Login Time', 'Fill out this form to get a user’s last login time.', {
        accountjids: accountJids('The Jabber ID(s) for which to retrieve the last login time'),
      }),
    ),
  ],
  async run(values, { run }) {
    const payload: Element[] = [];
    for (const { full } of jidsIn(values, 'accountjids')) {
      const { address, lastLogin } = (await run('user info', { address: full })) as Info;
      payload.push(
        resultForm([
          { var: 'accountjids', type: 'jid-multi', values: [address] },
          { var: 'lastlogin', type: 'text-single', values: lastLogin === null ? [] : [formatDateTime(lastLogin.atMs)] },
        ]),
      );
    }
    return { payload };
  },
};

/** §4.10 */
const getStatistics: AdhocCommand = {
  node: nodeOf('user-stats'),
  name: 'Get User Statistics',
  command: 'user info',
  stages: [
    stage(
      adminForm('Get User Statistics', 'Fill out this form to gather user statistics.', {
        accountjid: accountJid('The Jabber ID for statistics'),
      }),
    ),
  ],
  async run(values, { run, now }) {
    const { lastLogin, rosterSize, sessions } = (await run('user info', { address: addressIn(values) })) as Info;
    const perSecond = sessions.reduce((sum, { taken, boundAtMs }) => sum + taken / Math.max(1, (now - boundAtMs) / 1_000), 0);
    const perMinute = lastLogin === null ? 0 : lastLogin.count / Math.max(1, (now - lastLogin.firstMs) / 60_000);
    return {
      payload: [
        resultForm([
          { var: 'ipaddresses', type: 'list-multi', values: [...new Set(sessions.map(({ remoteAddress }) => remoteAddress))] },
          { var: 'rostersize', type: 'text-single', values: rosterSize === null ? [] : [String(rosterSize)] },
          { var: 'onlineresources', type: 'text-multi', values: sessions.map(({ jid }) => parseJid(jid)!.resource) },
          { var: 'stanzaspersecond', type: 'text-single', values: [perSecond.toFixed(2)] },
          { var: 'loginsperminute', type: 'text-single', values: [perMinute.toFixed(2)] },
        ]),
      ],
    };
  },
};

function addressIn(values: Readonly<Record<string, unknown>>): string {
  return (values['accountjid'] as Jid).full;
}

export const ACCOUNT_COMMANDS: readonly AdhocCommand[] = [
  addUser,
  forAccounts('delete-user', 'user del', {
    name: 'Delete User',
    title: 'Deleting a User',
    instructions: 'Fill out this form to delete a user.',
    label: 'The Jabber ID(s) to delete',
  }), // §4.2
  forAccounts('disable-user', 'user disable', {
    name: 'Disable User',
    title: 'Disabling a User',
    instructions: 'Fill out this form to disable a user.',
    label: 'The Jabber ID(s) to disable',
  }), // §4.3
  forAccounts('reenable-user', 'user enable', {
    name: 'Re-Enable User',
    title: 'Re-Enable a User',
    instructions: 'Fill out this form to re-enable a user.',
    label: 'The Jabber ID(s) to re-enable',
  }), // §4.4
  forAccounts('end-user-session', 'session kick', {
    name: 'End User Session',
    title: 'Ending a User Session',
    instructions: 'Fill out this form to end a user’s session.',
    label: 'The Jabber ID(s) for which to end sessions',
  }), // §4.5
  changePassword,
  getRoster,
  getLastLogin,
  getStatistics,
];
