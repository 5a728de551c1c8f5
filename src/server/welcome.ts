/** The one screen a first start prints: what is served, where data lives, what to do next. */
import type { PreparedTls } from './startup.ts';
import { isExecutable } from '../build/embedded.ts';
import { VERSION } from '../build/version.ts';
import type { Server } from './server.ts';

export function welcome(server: Server, { selfSigned }: PreparedTls): string {
  const { config, ports } = server;
  const domains = config.hosts.map(({ domain }) => domain);
  const command = isExecutable() ? 'rookery' : 'npm run rookery --';
  const lines = [
    `Rookery ${VERSION} serves ${domains.join(', ')}`,
    '',
    `  clients      ${describePorts(ports.c2s, config.c2s.isTlsRequired ? 'STARTTLS required' : 'STARTTLS offered, NOT required')}`,
    `  clients      ${describePorts(ports.c2sTls, 'TLS from the first byte')}`,
    ...(ports.component.length === 0 ? [] : [`  components   ${describePorts(ports.component, 'XEP-0114')}`]),
    ...(ports.router.length === 0 ? [] : [`  components   ${describePorts(ports.router, 'jabberd2’s router protocol')}`]),
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

function describePorts(ports: readonly number[], how: string): string {
  return ports.length === 0 ? 'off' : `port ${ports.join(', ')} (${how})`;
}
