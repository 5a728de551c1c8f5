/** What a start prints. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { welcome } from '../../src/server/welcome.ts';

const CLOSED = { c2s: [], c2sTls: [], s2s: [], s2sTls: [], component: [], router: [] };

function lines(ports: Partial<Record<keyof typeof CLOSED, readonly number[]>>): string[] {
  const { config } = loadConfig({ env: {}, values: { domains: ['capulet.lit'] } });
  return welcome({ config, ports: { ...CLOSED, ...ports } }, { hosts: [], selfSigned: undefined }).split('\n');
}

test('every port that is open is named, with who may come in how', () => {
  const text = lines({ c2s: [5222], c2sTls: [5223], s2s: [5269], s2sTls: [5270], component: [5347], router: [5348] });
  assert.deepEqual(text.slice(2, 8), [
    '  clients      port 5222 (STARTTLS required)',
    '  clients      port 5223 (TLS from the first byte)',
    '  servers      port 5269 (STARTTLS required)',
    '  servers      port 5270 (TLS from the first byte)',
    '  components   port 5347 (XEP-0114)',
    '  components   port 5348 (jabberd2’s router protocol)',
  ]);
});

test('what is off is said once, and components are not spoken of where nobody has any', () => {
  const text = lines({ c2sTls: [5223, 15_223] });
  assert.deepEqual(text.slice(2, 4), ['  clients      port 5223, 15223 (TLS from the first byte)', '  servers      off']);
  assert.ok(text[4]?.startsWith('  data '));
});
