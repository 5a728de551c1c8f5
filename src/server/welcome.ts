/** The one screen a first start prints: what is served, where data lives, what to do next. */
import type { PreparedTls } from './startup.ts';
import { isExecutable } from '../build/embedded.ts';
import { VERSION } from '../build/version.ts';
import type { Server } from './server.ts';

/** Of the first column. */
const LABEL_WIDTH = 13;

export function welcome(server: Pick<Server, 'config' | 'ports'>, { selfSigned }: PreparedTls): string {
  const { config, ports } = server;
  const domains = config.hosts.map(({ domain }) => domain);
  const command = isExecutable() ? 'rookery' : 'npm run rookery --';
  const lines = [
    `Rookery ${VERSION} serves ${domains.join(', ')}`,
    '',
    ...listeners('clients', [
      [ports.c2s, startTls(config.c2s)],
      [ports.c2sTls, 'TLS from the first byte'],
    ]),
    ...listeners('servers', [
      [ports.s2s, startTls(config.s2s)],
      [ports.s2sTls, 'TLS from the first byte'],
    ]),
    ...(ports.component.length + ports.router.length === 0
      ? []
      : listeners('components', [
          [ports.component, 'XEP-0114'],
          [ports.router, 'jabberd2’s router protocol'],
        ])),
    `  data         ${config.dataDir}`,
    `  workers      ${config.workers.count}`,
    `  certificate  ${selfSigned === undefined ? 'as configured' : `self-signed, ${selfSigned.certificateFile}`}`,
    ...(selfSigned === undefined ? [] : [`               SHA-256 ${selfSigned.fingerprint}`]),
    '',
    `  create an account:  ${command} user add juliet@${domains[0]}`,
    `  all options:        ${command} config`,
    `  is it healthy?      ${command} doctor`,
    '',
  ];
  return `${lines.join('\n')}\n`;
}

function startTls({ isTlsRequired }: { readonly isTlsRequired: boolean }): string {
  return isTlsRequired ? 'STARTTLS required' : 'STARTTLS offered, NOT required';
}

/** One line per way that is open, or one that says that none is. */
function listeners(who: string, ways: readonly (readonly [ports: readonly number[], how: string])[]): string[] {
  const open = ways.filter(([ports]) => ports.length > 0);
  const label = `  ${who.padEnd(LABEL_WIDTH)}`;
  return open.length === 0 ? [`${label}off`] : open.map(([ports, how]) => `${label}port ${ports.join(', ')} (${how})`);
}
