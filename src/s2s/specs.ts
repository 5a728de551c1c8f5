/** What links to other servers implement, for the README's table. */
import type { Implements } from '../core/module.ts';

export const S2S_IMPLEMENTS: readonly Implements[] = [
  { spec: 'XEP-0178', version: '1.2', status: 'complete', note: '§3, between servers' },
  { spec: 'XEP-0185', version: '1.0', status: 'complete' },
  { spec: 'XEP-0198', version: '1.6.1', status: 'complete', note: 'also between servers, with resumption where the other offers it' },
  {
    spec: 'XEP-0220',
    version: '1.1.1',
    status: 'complete',
    note: 'others may multiplex; this server has one connection per pair of domains',
  },
  { spec: 'XEP-0288', version: '1.0.1', status: 'complete', note: 'off by default: `s2s.bidi`' },
  { spec: 'XEP-0368', version: '1.1.0', status: 'complete', note: 'between servers, both ways' },
];
