/** Commands of ours that show something before they ask. */
import { stage, type AdhocCommand } from '../../core/adhoc.ts';
import type { SessionStatus } from '../../core/messages.ts';
import { formatDateTime } from '../../xmpp/date-time.ts';
import { choicesField, defineForm, jidField, textField } from '../../xmpp/form-schema.ts';
import { buildForm, readSubmission } from '../../xmpp/form-schema.ts';
import type { Jid } from '../../xmpp/jid.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';

const NS = 'urn:rookery:commands';

const WHOM = defineForm({
  formType: NS,
  title: 'Ban an Account',
  instructions: ['Whose?'],
  fields: { address: jidField({ label: 'Address of the account', isRequired: true }) },
});

const WHY = defineForm({
  formType: NS,
  title: 'Ban an Account',
  fields: { reason: textField({ label: 'Reason, for other admins', isRequired: true, maxLength: 1_023 }) },
});

/** Who it is, then why: as `user disable` with a reason. */
export const BAN: AdhocCommand = {
  node: `${NS}#user-ban`,
  name: 'Ban an account',
  command: 'user disable',
  stages: [
    stage(WHOM),
    {
      async form(values, { run }) {
        const { address, sessions, createdAtMs } = (await run('user info', { address: (values['address'] as Jid).full })) as {
          readonly address: string;
          readonly sessions: readonly SessionStatus[];
          readonly createdAtMs: number;
        };
        const facts = `${address}: created ${formatDateTime(createdAtMs)}, ${sessions.length} sessions`;
        return { ...buildForm(WHY, {}), instructions: [facts] };
      },
      read: (form) => {
        const submission = readSubmission(WHY, form);
        return submission instanceof StanzaError || submission.kind === 'cancel' ? (submission as StanzaError) : submission.values;
      },
    },
  ],
  async run(values, { run }) {
    const address = (values['address'] as Jid).full;
    await run('user disable', { address, reason: values['reason'] });
    return { notes: [{ type: 'info', text: `${address} is banned.` }] };
  },
};

interface OwnSession {
  readonly resource: string;
  readonly remoteAddress: string;
  readonly isThis: boolean;
}

/** Which of the others are to end. */
export const END_OWN_SESSIONS: AdhocCommand = {
  node: `${NS}#me-kick`,
  name: 'End other sessions of yours',
  command: 'me kick',
  stages: [
    {
      async form(_values, { run }) {
        const sessions = (await run('me sessions', {})) as readonly OwnSession[];
        const others = sessions.filter(({ isThis }) => !isThis);
        const choices = Object.fromEntries(others.map(({ resource, remoteAddress }) => [resource, `${resource} from ${remoteAddress}`]));
        const fields = { resources: choicesField(choices, { label: 'Sessions to end', isRequired: true }) };
        return buildForm(defineForm({ formType: NS, title: 'End Sessions', fields }), {});
      },
      // What is chosen is looked up when it is ended.
      read: (form) => ({ resources: form.fields.find((field) => field.var === 'resources')?.values ?? [] }),
    },
  ],
  async run(values, { run }) {
    const resources = values['resources'] as readonly string[];
    for (const resource of new Set(resources)) await run('me kick', { resource });
    return { notes: [{ type: 'info', text: resources.length === 1 ? 'Ended 1 session.' : `Ended ${resources.length} sessions.` }] };
  },
};
