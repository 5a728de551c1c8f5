/** Our own server as a process: what the server in memory leaves out (threads, TCP, the store on disk) is all there. */
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { freePort, serverDirectory, startProcess, type OwnProcess } from './own-process.ts';
import { COMPONENT, type Target } from './target.ts';
import { tcpTarget } from './tcp-target.ts';

const DOMAIN = 'capulet.lit';

export async function startRookery(): Promise<Target> {
  const directory = await serverDirectory('rookery');
  const port = await freePort();
  const componentPort = await freePort();
  await writeFile(
    join(directory, 'rookery.toml'),
    `[components."${COMPONENT.domain}"]\nsecret = "${COMPONENT.secret}"\ntitle = "The gateway"\n`,
  );
  const start: OwnProcess = {
    command: process.execPath,
    args: [resolve(import.meta.dirname, '../../src/main.ts'), 'serve'],
    directory,
    env: {
      ROOKERY_DATA_DIR: directory,
      ROOKERY_CONFIG: join(directory, 'rookery.toml'),
      ROOKERY_COMPONENT_PORT: String(componentPort),
      ROOKERY_DOMAIN: DOMAIN,
      ROOKERY_ADMINS: `escalus@${DOMAIN}`,
      ROOKERY_LISTEN: '127.0.0.1',
      ROOKERY_C2S_PORT: String(port),
      ROOKERY_C2S_TLS_PORT: 'off',
      ROOKERY_S2S: 'off',
      ROOKERY_TLS_REQUIRED: 'false',
      ROOKERY_REGISTRATION: 'open',
      ROOKERY_REGISTRATION_RATE: '1000000/1m',
      ROOKERY_SCRAM_ITERATIONS: '4096',
      ROOKERY_WORKERS: '2',
      ROOKERY_LOG_LEVEL: process.env['TRANSCRIPT_OUTPUT'] === undefined ? 'error' : 'debug',
    },
    port,
  };
  let server = await startProcess(start);
  const check = async (): Promise<void> => {
    const errors = (await server.stop()).split('\n').filter((line) => line.includes('"level":"error"'));
    assert.deepEqual(errors, [], 'the server logs no error'); // a crash is one
  };
  const target: Target = {
    ...tcpTarget({ host: '127.0.0.1', port, domain: DOMAIN, componentPort, isOurs: true, stop: check }),
    async restarted() {
      await server.kill();
      server = await startProcess(start);
      return target;
    },
  };
  return target;
}
