/** The registration form, and what clients make of it. XEP-0077 §4, §5 */
import type { Element } from '../../xml/element.ts';
import { parseDataForm } from '../../xmpp/data-form.ts';
import { defineForm, privateField, readSubmission, textField } from '../../xmpp/form-schema.ts';
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';

export const NS_REGISTER = 'jabber:iq:register';

/** §10.4.1. The same two fields serve to change a password. */
export const REGISTRATION_FORM = defineForm({
  formType: NS_REGISTER,
  title: 'Registration',
  instructions: ['Choose a username and a password.'],
  fields: {
    username: textField({ label: 'Username', isRequired: true, maxLength: 1_023 }),
    password: privateField({ label: 'Password', isRequired: true, maxLength: 1_023 }),
  },
});

/** The form types under which the fields may come back: §10.4.1, §10.4.3. */
const CHANGE_FORM = defineForm({ ...REGISTRATION_FORM, formType: 'jabber:iq:register:changepassword' });

/** What a `set` asks for. */
export type RegistrationRequest =
  | { readonly kind: 'fields'; readonly username: string; readonly password: string }
  | { readonly kind: 'remove' }
  | { readonly kind: 'cancel' };

/** Reads the payload of a `set`; a data form takes precedence over the fields (§4). */
export function readRequest(query: Element): RegistrationRequest | StanzaError {
  if (query.child('remove') !== undefined) {
    return query.elements().length === 1 ? { kind: 'remove' } : new StanzaError('bad-request', 'Nothing may stand beside <remove/>'); // §3.2
  }
  const x = query.child('x', NS.dataForm);
  if (x !== undefined) return readForm(x);
  return filledIn(query.child('username')?.text(), query.child('password')?.text());
}

function readForm(x: Element): RegistrationRequest | StanzaError {
  const form = parseDataForm(x);
  if (form === undefined) return new StanzaError('bad-request', 'That is no data form');
  const isChange = form.fields.some(({ var: name, values }) => name === 'FORM_TYPE' && values[0] === CHANGE_FORM.formType);
  const submission = readSubmission(isChange ? CHANGE_FORM : REGISTRATION_FORM, form);
  if (submission instanceof StanzaError) return submission;
  return submission.kind === 'cancel' ? submission : filledIn(submission.values.username, submission.values.password);
}

/** §3.1: something missing or empty is `not-acceptable`. */
function filledIn(username: string | undefined, password: string | undefined): RegistrationRequest | StanzaError {
  if (username === undefined || username === '') return new StanzaError('not-acceptable', 'A username is required');
  if (password === undefined || password === '') return new StanzaError('not-acceptable', 'A password is required');
  return { kind: 'fields', username, password };
}
