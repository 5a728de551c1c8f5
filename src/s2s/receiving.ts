/** Dialback on a stream that another server has begun: as the receiving server, and as the authoritative one. XEP-0220 §2.2 */
import type { Incoming, IncomingState } from './incoming.ts';
import { dialbackAnswer, dialbackKey, isSameKey, type DialbackElement } from './dialback.ts';
import type { Verified } from './environment.ts';
import { isDialbackAllowed, isDomainAllowed, isTlsRequired } from './policy.ts';
import { outboundMachine } from './outbound.ts';
import type { Condition } from '../xmpp/stanza-error.ts';

/** Pairs of domains on one stream, authorised or being verified. */
const MAX_PAIRS = 64;

/** Whether a key is one of ours. §2.2.2 */
export function authoritativeAnswer({ environment, stream, remote }: Incoming, { from, to, id, key }: DialbackElement): string {
  const { router, config, secret } = environment;
  const answer = (outcome: 'valid' | 'invalid' | Condition): string => dialbackAnswer('verify', { from: to, to: from, id }, outcome);
  if (!router.serves(to)) return answer('item-not-found');
  if (!stream.isSecure && isTlsRequired(config, remote ?? from)) return answer('policy-violation');
  if (!isDialbackAllowed(config, from)) return answer('not-authorized');
  return answer(isSameKey(key, dialbackKey(secret, from, to, id!)) ? 'valid' : 'invalid');
}

/**
 * Somebody asks to speak for a domain. §2.2.1
 *
 * @returns true where that is decided already; else the answer is written, or follows when the key is verified.
 */
export function receiveKey(c: Incoming, { from, to, key }: DialbackElement): boolean {
  const { environment, stream } = c;
  const { router, config, trust } = environment;
  const pair = `${from} ${to}`;
  const refuse = (condition: Condition): false => {
    stream.link.write(dialbackAnswer('result', { from: to, to: from }, condition));
    return false;
  };
  if (!router.serves(to)) return refuse('item-not-found');
  if (router.serves(from) || !isDomainAllowed(config, from)) return refuse('forbidden');
  if (!stream.isSecure && isTlsRequired(config, from)) return refuse('policy-violation');
  if (stream.pairs.has(pair)) {
    stream.link.write(dialbackAnswer('result', { from: to, to: from }, 'valid'));
    return false;
  }
  if (c.verifying.has(pair)) return false; // its answer is on the way
  if (stream.pairs.size + c.verifying.size >= MAX_PAIRS) return refuse('resource-constraint');
  // What the certificate says needs no name server. §1.2, last paragraph
  if (trust.judge(stream.link.transport.tls, from).isValid) {
    stream.auth ??= 'external';
    environment.counters.inExternal++;
    c.authorise(from, to);
    stream.link.write(dialbackAnswer('result', { from: to, to: from }, 'valid'));
    return true;
  }
  if (!isDialbackAllowed(config, from)) return refuse('not-authorized');
  c.verifying.add(pair);
  const link = c.turn.spawn(outboundMachine, {
    environment,
    local: to,
    remote: from,
    // Always on a connection of its own: never on the one where the key came. XEP-0288 §2.2
    purpose: { kind: 'verify', id: stream.id, key, asker: c.turn.self },
  });
  c.turn.send(link, { kind: 'start_link' });
  return false;
}

/** The authoritative server has answered. @returns the next state where that changes it. */
export function dialbackVerified(c: Incoming, { from, to, outcome }: Verified): IncomingState | undefined {
  const { stream, environment } = c;
  const pair = `${from} ${to}`;
  if (!c.verifying.delete(pair)) return undefined; // asked for on an earlier stream of this connection
  const write = (result: 'valid' | 'invalid' | Condition): void =>
    stream.link.write(dialbackAnswer('result', { from: to, to: from }, result));
  if (outcome === 'valid') {
    stream.auth ??= 'dialback';
    environment.counters.inDialback++;
    c.authorise(from, to);
    write('valid');
    return 'established';
  }
  if (outcome !== 'invalid') {
    write(outcome);
    return undefined;
  }
  environment.counters.spoofs++;
  environment.log.warn('s2s_dialback_invalid', { remote: from, local: to, address: stream.link.transport.remoteAddress });
  if (stream.pairs.size > 0) {
    write('forbidden'); // others on this stream are as they should be
    return undefined;
  }
  write('invalid');
  return c.finish();
}
