/** This server, from its sources or as the single executable. */
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { callControl } from '../../src/control/client.ts';
import { controlPath } from '../../src/control/protocol.ts';
import { ECHO } from '../load/scenarios/component.ts';
import type { ServerOptions } from './options.ts';
import type { Setup } from './process.ts';

/** Registration as the others have it, and as many failed logins as there may be. */
const OPEN = { ROOKERY_REGISTRATION: 'open', ROOKERY_REGISTRATION_RATE: '1000000/1s', ROOKERY_LOGIN_FAILURES: '0/1s' } as const;

/** Limits on connections are for peers that mean harm; here one address has all clients. */
export async function rookery(directory: string, port: number, options: ServerOptions): Promise<Setup> {
  const { binary, mode, isOpen = false, settings, componentPort } = options;
  const file = join(directory, 'rookery.toml');
  const sections = [
    ...(isOpen ? ['[modules.registration]', 'host_rate = "1000000/1s"'] : []),
    ...(componentPort === undefined ? [] : [`[components."${ECHO.domain}"]`, `secret = "${ECHO.secret}"`]),
  ];
  await writeFile(file, `${sections.join('\n')}\n`);
  const main = resolve(import.meta.dirname, '../../src/main.ts');
  const command = {
    program: binary === undefined ? process.execPath : resolve(binary),
    args: binary === undefined ? [main, 'serve'] : ['serve'],
    env: {
      ROOKERY_DATA_DIR: directory,
      ROOKERY_DOMAIN: 'localhost',
      ROOKERY_LISTEN: '127.0.0.1',
      ROOKERY_C2S_PORT: String(port),
      ROOKERY_C2S_TLS_PORT: 'off',
      ROOKERY_S2S: 'off',
      ROOKERY_TLS_REQUIRED: 'false',
      ROOKERY_SCRAM_ITERATIONS: '4096',
      ROOKERY_CONNECT_RATE: '100000',
      ROOKERY_CONNECT_BURST: '100000',
      ROOKERY_MAX_CONNECTIONS_PER_ADDRESS: '100000',
      ROOKERY_MAX_UNAUTHENTICATED_PER_ADDRESS: '20000',
      ROOKERY_LOG_LEVEL: 'warn',
      ROOKERY_LOG_FORMAT: 'json',
      ROOKERY_CONFIG: file,
      ...(componentPort === undefined ? {} : { ROOKERY_COMPONENT_PORT: String(componentPort) }),
      ...(isOpen ? OPEN : {}),
      ...(mode === undefined ? {} : { ROOKERY_DRILL: mode, ROOKERY_WORKERS: '2' }),
      ...settings,
    },
  };
  return {
    commands: [command],
    isReady: () =>
      callControl(controlPath(directory), 'status', {}).then(
        () => true,
        () => false,
      ),
  };
}
