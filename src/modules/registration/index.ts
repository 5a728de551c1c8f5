/**
 * In-band registration: an account made, changed and removed from a client. XEP-0077
 *
 * Making one needs `registration = open`; those who have an account may change its password and remove it in any case.
 */
import type { HostConfig } from '../../config/config.ts';
import type { AccountContext, StreamContext } from '../../core/context.ts';
import { GUEST, type Guest } from '../../core/guest.ts';
import { defineModule, EMPTY_RESULT, type AccountSlot, type IqAnswer, type IqRequest } from '../../core/module.ts';
import { el, type Element } from '../../xml/element.ts';
import { buildForm } from '../../xmpp/form-schema.ts';
import { dataFormElement } from '../../xmpp/data-form.ts';
import { makeJid, normalizeLocal, type BareJid } from '../../xmpp/jid.ts';
import type { OpaqueString } from '../../xmpp/precis.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import { REGISTRATION_FORM, readRequest, NS_REGISTER } from './form.ts';
import { limiterOf } from './limiter.ts';
import { OPTIONS, readPassword, readUsername, type RegistrationOptions } from './policy.ts';

const QUERY = ['query', NS_REGISTER] as const;
/** XEP-0077 §8 */
const STREAM_FEATURE = el('register', 'http://jabber.org/features/iq-register');

/** One change at a time: a key takes the pool tens of milliseconds, and everybody's logins wait in the same queue. */
const CHANGE: AccountSlot<{ isUnderWay: boolean }> = { name: 'registration_change', load: () => ({ isUnderWay: false }) };

const registration = defineModule({
  name: 'registration',
  implements: [{ spec: 'XEP-0077', version: '2.4', status: 'complete', note: 'without the error codes of XEP-0086, which is obsolete' }],
  config: OPTIONS,
  slots: [CHANGE],
  features: [NS_REGISTER], // §10: passwords can be changed even where nobody may register
  streamFeatures: ({ host }, isAuthenticated) => (!isAuthenticated && host.settings.registration === 'open' ? [STREAM_FEATURE] : []),
  iq: [
    { type: 'get', to: 'stream', payload: QUERY, run: offerForm },
    { type: 'set', to: 'stream', payload: QUERY, run: register },
    { type: 'get', to: 'own_server', payload: QUERY, run: tellRegistration },
    { type: 'get', to: 'account', payload: QUERY, run: tellRegistration },
    { type: 'set', to: 'own_server', payload: QUERY, run: changeRegistration },
    { type: 'set', to: 'account', payload: QUERY, run: changeRegistration },
  ],
});
export default registration;

/** Why a user of the host cannot change the password to that one; undefined where he can. */
export function ownPasswordRefusal({ modules }: HostConfig, local: string, password: string): string | undefined {
  const options = modules[registration.name]?.values as RegistrationOptions | undefined;
  if (modules[registration.name]?.isEnabled !== true || options?.password_change !== true) return 'Passwords cannot be changed here.';
  const read = readPassword(password, local, options);
  return read instanceof StanzaError ? (read.text ?? 'The password cannot be taken') : undefined;
}

/** §3.1: what has to be filled in. Both forms, for clients old and new (§6). */
function offerForm(_payload: Element, stream: StreamContext): IqAnswer {
  const { host } = stream;
  const guest = stream.get(GUEST);
  if (host.settings.registration !== 'open' && guest === undefined) return notOffered();
  return el(
    'query',
    NS_REGISTER,
    {},
    el('instructions', NS_REGISTER, {}, host.moduleConfig(registration).instructions),
    el('username', NS_REGISTER, {}, guest?.username),
    el('password', NS_REGISTER),
    dataFormElement(buildForm(REGISTRATION_FORM, guest?.username === undefined ? {} : { username: guest.username })),
  );
}

/** §3.1: "if the host does not support In-Band Registration, it MUST return a service-unavailable error". */
function notOffered(): StanzaError {
  return new StanzaError('service-unavailable', 'Accounts cannot be registered here');
}

async function register(payload: Element, stream: StreamContext): Promise<IqAnswer> {
  const { host, now, addressKey } = stream;
  const guest = stream.get(GUEST);
  if (host.settings.registration !== 'open' && guest === undefined) return notOffered();
  const request = readRequest(payload);
  if (request instanceof StanzaError) return request;
  if (request.kind === 'remove') return new StanzaError('unexpected-request'); // §3.2: nobody is logged in
  if (request.kind === 'cancel') return EMPTY_RESULT;
  const options = host.moduleConfig(registration);
  const invited = guest?.username; // who has invited has chosen, whatever the rules for others
  if (invited !== undefined && normalizeLocal(request.username) !== invited)
    return new StanzaError('not-acceptable', `The invitation is for the username ${invited}`);
  const local = invited ?? readUsername(request.username, options);
  if (local instanceof StanzaError) return local;
  const password = readPassword(request.password, local, options);
  if (password instanceof StanzaError) return password;
  if (await isReserved(stream, local, guest)) return new StanzaError('conflict'); // XEP-0401 §7.2
  const limiter = limiterOf(host, options);
  if (!limiter.mayTry(addressKey, now)) return tooMany();
  const { bare } = makeJid(local, host.domain)!;
  const outcome =
    guest === undefined
      ? await create(local, password, stream)
      : await guest.use(
          bare,
          () => (guest.isReset ? reset(bare, password, stream) : create(local, password, stream, true)),
          (each) => each === 'created',
        );
  if (outcome instanceof StanzaError) return outcome;
  if (outcome === 'exists') return new StanzaError('conflict'); // §3.1
  if (outcome === 'too_many') return tooMany();
  return EMPTY_RESULT;
}

async function isReserved({ host, now }: StreamContext, local: string, guest: Guest | undefined): Promise<boolean> {
  for (const { reservesUsername } of host.modules) if (await reservesUsername?.(host, local, guest, now)) return true;
  return false;
}

type Outcome = 'created' | 'exists' | 'too_many';

/** A new password for an account that there is, by the operator's leave. */
async function reset(bare: BareJid, password: OpaqueString, { host, remoteAddress }: StreamContext): Promise<Outcome> {
  const { services, config } = host;
  const scram = await services.pool.derive(password, config.accounts.scramIterations);
  const outcome = await services.askAccount(bare, (replyTo) => ({ kind: 'set_credentials', replyTo, scram, closeSessions: true }));
  services.log.info('password_reset', { account: bare, remoteAddress });
  return outcome === 'changed' ? 'created' : 'exists';
}

/** The quota is taken before the work begins and given back if no account came of it: many at once must not share it. */
async function create(
  local: string,
  password: OpaqueString,
  { host, now, remoteAddress, addressKey }: StreamContext,
  isInvited = false,
): Promise<Outcome> {
  const { services, config } = host;
  const account = makeJid(local, host.domain);
  if (account === undefined) throw new Error('a username was not normalised');
  const status = (await services.askAccount(account.bare, (replyTo) => ({ kind: 'get_status', replyTo }))) as { readonly exists: boolean };
  if (status.exists) return 'exists'; // without the work of hashing
  const limiter = limiterOf(host, host.moduleConfig(registration));
  if (!isInvited && !limiter.take(addressKey, now)) return 'too_many';
  let outcome: unknown;
  try {
    const scram = await services.pool.derive(password, config.accounts.scramIterations);
    outcome = await services.askAccount(account.bare, (replyTo) => ({ kind: 'create_account', replyTo, scram }));
  } finally {
    if (outcome !== 'created' && !isInvited) limiter.giveBack(addressKey);
  }
  if (outcome !== 'created') return 'exists';
  services.log.info('account_registered', { account: account.bare, remoteAddress });
  return 'created';
}

function tooMany(): StanzaError {
  return new StanzaError('resource-constraint', 'Too many accounts were registered lately; try again later');
}

/** §3.1: the account is there, and this is its name. The password is known to nobody. */
function tellRegistration(_request: IqRequest, account: AccountContext): Element {
  return el(
    'query',
    NS_REGISTER,
    {},
    el('registered', NS_REGISTER),
    el('username', NS_REGISTER, {}, account.jid.local),
    el('password', NS_REGISTER),
  );
}

function changeRegistration(request: IqRequest, account: AccountContext): IqAnswer | Promise<IqAnswer> {
  const { payload } = request;
  const options = account.host.moduleConfig(registration);
  if (account.isTemporary) return new StanzaError('registration-required'); // §3.2: it never was
  const wanted = readRequest(payload);
  if (wanted instanceof StanzaError) return wanted.condition === 'not-acceptable' ? new StanzaError('bad-request', wanted.text) : wanted; // §3.3
  switch (wanted.kind) {
    case 'cancel':
      return EMPTY_RESULT;
    case 'remove':
      if (!options.removal) return new StanzaError('not-allowed'); // §3.2
      account.remove();
      return EMPTY_RESULT;
    case 'fields':
      return changePassword(wanted, request, account, options);
  }
}

/** §3.3. The other sessions end: who changes a password may want exactly that. */
function changePassword(
  wanted: { readonly username: string; readonly password: string },
  { session }: IqRequest,
  account: AccountContext,
  options: RegistrationOptions,
): StanzaError | Promise<IqAnswer> {
  const { host, jid } = account;
  if (!options.password_change) return new StanzaError('not-allowed');
  if (makeJid(wanted.username, host.domain)?.bare !== jid.bare)
    return new StanzaError('not-allowed', 'Only your own password can be changed');
  const password = readPassword(wanted.password, jid.local, options);
  if (password instanceof StanzaError) return password;
  const change = account.state(CHANGE);
  if (change.isUnderWay) return new StanzaError('resource-constraint', 'The password is being changed already');
  change.isUnderWay = true;
  const { promise, resolve } = Promise.withResolvers<IqAnswer>();
  const derived = host.services.pool.derive(password, host.config.accounts.scramIterations).catch(() => undefined);
  account.later(derived, (current, scram) => {
    current.state(CHANGE).isUnderWay = false;
    if (scram === undefined) {
      resolve(new StanzaError('resource-constraint', 'The password could not be changed now; try again later')); // the pool is full
      return;
    }
    current.setCredentials(scram);
    for (const other of [...current.sessions]) if (other.sid !== session?.sid) current.close(other, 'password_changed');
    host.services.log.info('password_changed', { account: current.bare });
    resolve(EMPTY_RESULT);
  });
  return promise;
}
