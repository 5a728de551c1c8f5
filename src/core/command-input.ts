/** What commands are given by people, read: addresses of accounts, domains, passwords. Each throws OperatorError with a sentence. */
import { OperatorError } from '../kernel/errors.ts';
import type { PreparedPassword } from '../sasl/scram-credentials.ts';
import { parseJid, type Jid } from '../xmpp/jid.ts';
import { opaqueString } from '../xmpp/precis.ts';
import type { Operations } from './operations.ts';

/** An account of a host of ours, or one of its sessions. @throws OperatorError ERR_ADDRESS or ERR_HOST_UNKNOWN */
export function accountOrSession(server: Operations, address: string): Jid {
  const jid = parseJid(address);
  if (jid === undefined || jid.local === '')
    throw new OperatorError('ERR_ADDRESS', `'${address}' is not the address of an account. It should look like juliet@capulet.lit.`);
  if (!isServed(server, jid.domain)) throw unknownHost(server, jid.domain);
  return jid;
}

/** The same without a resource. */
export function accountNamed(server: Operations, address: string): Jid {
  const jid = accountOrSession(server, address);
  if (jid.resource !== '')
    throw new OperatorError('ERR_ADDRESS', `'${address}' names a session; leave out '/${jid.resource}' to name the account.`);
  return jid;
}

/** A domain that is served here. */
export function hostNamed(server: Operations, domain: string): string {
  const jid = parseJid(domain);
  if (jid === undefined || !jid.isDomain || !isServed(server, jid.domain)) throw unknownHost(server, domain);
  return jid.domain;
}

/** @throws OperatorError ERR_PASSWORD */
export function passwordGiven(password: string): PreparedPassword {
  const result = opaqueString(password);
  if (result === undefined)
    throw new OperatorError(
      'ERR_PASSWORD',
      'This password is empty or has characters that cannot be typed alike everywhere (control characters). Choose another.',
    );
  return result;
}

export function noAccount(jid: Jid): OperatorError {
  return new OperatorError('ERR_NO_ACCOUNT', `There is no account ${jid.bare}. 'rookery user list' shows those that are.`);
}

const isServed = ({ config }: Operations, domain: string): boolean => config.hosts.some((host) => host.domain === domain);

function unknownHost({ config }: Operations, domain: string): OperatorError {
  const domains = config.hosts.map((host) => host.domain).join(', ');
  return new OperatorError(
    'ERR_HOST_UNKNOWN',
    `This server does not serve '${domain}', only ${domains}. Add the domain to ROOKERY_DOMAIN, or correct the address.`,
  );
}
