/** How many users there are, and who. XEP-0133 §4.13 – §4.22 */
import { stage, type AdhocCommand } from '../../core/adhoc.ts';
import { choiceField } from '../../xmpp/form-schema.ts';
import { adminForm, nodeOf, resultForm } from './form.ts';

/** What the states are called in nodes and fields. */
const STATES = {
  registered: { words: 'Registered', list: 'get-registered-users-list', field: 'registereduserjids' },
  disabled: { words: 'Disabled', list: 'get-disabled-users-list', field: 'disableduserjids' },
  online: { words: 'Online', list: 'get-online-users-list', field: 'onlineuserjids' },
  active: { words: 'Active', list: 'get-active-users', field: 'activeuserjids' }, // §4.21
  idle: { words: 'Idle', list: 'get-idle-users', field: 'idleuserjids' }, // §4.22; its example has the field of §4.21 by mistake
} as const;

/** §4.18 */
const MAX_ITEMS = choiceField(
  { '25': '25', '50': '50', '75': '75', '100': '100', '150': '150', '200': '200', none: 'None' },
  { label: 'Maximum number of items to show' },
);
/** Without a maximum: more in one answer no client can show. */
const MOST_ITEMS = 1_000;

function count(state: keyof typeof STATES): AdhocCommand {
  const { words } = STATES[state];
  return {
    node: nodeOf(`get-${state}-users-num`),
    name: `Get Number of ${words} Users`,
    command: 'user count',
    stages: [],
    async run(_values, { run, host }) {
      const { count: number } = (await run('user count', { state, host: host.domain })) as { count: number };
      const label = `The number of ${state} users`;
      return { payload: [resultForm([{ var: `${state}usersnum`, type: 'text-single', label, values: [String(number)] }])] };
    },
  };
}

function list(state: keyof typeof STATES): AdhocCommand {
  const { words, list: word, field } = STATES[state];
  const title = `Requesting List of ${words} Users`;
  return {
    node: nodeOf(word),
    name: `Get List of ${words} Users`,
    command: 'user list',
    stages: [stage(adminForm(title, `Fill out this form to request the ${state} users of this service.`, { max_items: MAX_ITEMS }))],
    async run(values, { run, host }) {
      const wanted = values['max_items'];
      const limit = wanted === undefined || wanted === 'none' ? MOST_ITEMS : Number(wanted);
      const page = (await run('user list', { state, host: host.domain, limit })) as { users: { address: string }[]; next?: string };
      const label = `The list of ${state} users`;
      const notes = page.next === undefined ? [] : [{ type: 'warn' as const, text: `These are the first ${limit}.` }];
      return { payload: [resultForm([{ var: field, type: 'jid-multi', label, values: page.users.map(({ address }) => address) }])], notes };
    },
  };
}

const states = Object.keys(STATES) as (keyof typeof STATES)[];

export const LIST_COMMANDS: readonly AdhocCommand[] = [...states.map(count), ...states.map(list)];
