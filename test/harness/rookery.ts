/** Our own server as a process: what the server in memory leaves out (threads, TCP, the store on disk) is all there. */
import { resolve } from 'node:path';
import { freePort, serverDirectory, startProcess } from './own-process.ts';
import type { Target } from './target.ts';
import { tcpTarget } from './tcp-target.ts';

const DOMAIN = 'capulet.lit';

export async function startRookery(): Promise<Target> {
  const directory = await serverDirectory('rookery');
  const port = await freePort();
  const stop = await startProcess({
    command: process.execPath,
    args: [resolve(import.meta.dirname, '../../src/main.ts'), 'serve'],
    directory,
    env: {
      ROOKERY_DATA_DIR: directory,
      ROOKERY_DOMAIN: DOMAIN,
      ROOKERY_LISTEN: '127.0.0.1',
      ROOKERY_C2S_PORT: String(port),
      ROOKERY_C2S_TLS_PORT: 'off',
      ROOKERY_TLS_REQUIRED: 'false',
      ROOKERY_REGISTRATION: 'open',
      ROOKERY_REGISTRATION_RATE: '1000000/1m',
      ROOKERY_SCRAM_ITERATIONS: '4096',
      ROOKERY_WORKERS: '2',
      ROOKERY_LOG_LEVEL: 'error',
    },
    port,
  });
  return tcpTarget({ host: '127.0.0.1', port, domain: DOMAIN, isOurs: true, stop });
}
