/** A stream of capulet.example for tests of mechanisms. */
import type { SaslContext } from '../../src/sasl/mechanism.ts';
import { MECHANISMS } from '../../src/sasl/mechanism.ts';
import { normalizeLocal, parseJid } from '../../src/xmpp/jid.ts';
import { opaqueString } from '../../src/xmpp/precis.ts';

export const EXPORTER = { type: 'tls-exporter', data: Buffer.alloc(32, 7) } as const;
export const END_POINT = { type: 'tls-server-end-point', data: Buffer.alloc(32, 9) } as const;
export const DECOY = { serverSecret: Buffer.alloc(32, 1), iterations: 64 };

export function saslContext(changes: Partial<SaslContext> = {}): SaslContext {
  return {
    offered: MECHANISMS,
    channelBindings: [EXPORTER, END_POINT],
    domain: 'capulet.example',
    prepare: { username: normalizeLocal, password: opaqueString, address: parseJid },
    decoy: DECOY,
    certificateAddresses: [],
    ...changes,
  };
}
