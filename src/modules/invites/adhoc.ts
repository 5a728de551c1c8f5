/** Invitations as clients ask for them. XEP-0401 */
import { stage, type AdhocCommand, type AdhocResult } from '../../core/adhoc.ts';
import { dataFormElement, formTypeField, type FormField } from '../../xmpp/data-form.ts';
import { booleanField, defineForm, textField } from '../../xmpp/form-schema.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import { parseJid } from '../../xmpp/jid.ts';
import type { Invitation } from './commands.ts';

const NS = 'urn:xmpp:invite';

/** §6.4 */
const ACCOUNT_FORM = defineForm({
  formType: `${NS}#create-account`,
  title: 'Invite somebody to make an account',
  instructions: [],
  fields: {
    username: textField({ label: 'Username; the guest chooses without it', isRequired: false, maxLength: 1_023 }),
    'roster-subscription': booleanField({ label: 'The guest will be your contact', isRequired: false }),
  },
});

export const INVITE_ADHOC: readonly AdhocCommand[] = [
  {
    node: `${NS}#invite`,
    name: 'Invite user',
    command: 'me invite',
    stages: [],
    run: async (_values, { run }) => shown((await run('me invite', {})) as Invitation),
  },
  {
    node: `${NS}#create-account`,
    name: 'Create account',
    command: 'invite create',
    stages: [stage(ACCOUNT_FORM)],
    async run(values, { run, host, caller }) {
      const username = values['username'] as string | undefined;
      const isContact = values['roster-subscription'] === true && caller.jid !== undefined;
      return shown(
        (await run('invite create', {
          host: host.domain,
          ...(username === undefined || username === '' ? {} : { username }),
          ...(isContact ? { contact: parseJid(caller.jid!)!.bare } : {}),
        })) as Invitation,
      );
    },
  },
];

/** §6.1, §12.1 */
function shown({ uri, landingUrl, expiresAtMs }: Invitation): AdhocResult {
  const field = (name: string, value: string): FormField => ({ var: name, type: 'text-single', values: [value] });
  const fields = [formTypeField(`${NS}#invitation`), field('uri', uri)];
  if (landingUrl !== undefined) fields.push(field('landing-url', landingUrl));
  fields.push(field('expire', formatDateTime(expiresAtMs)));
  return { payload: [dataFormElement({ kind: 'result', fields })] };
}
