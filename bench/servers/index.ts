/** The servers that a drill, a table or a scenario can be held on, each with a directory of its own on a free port of loopback. */
import { chown, writeFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { ensureCertificate } from '../../src/net/self-signed.ts';
import { freePort, serverDirectory } from '../../test/harness/own-process.ts';
import { ejabberd } from './ejabberd.ts';
import { jabberd2 } from './jabberd2.ts';
import type { Certificate, ServerOptions } from './options.ts';
import { NOBODY, type Setup } from './process.ts';
import { prosody } from './prosody.ts';
import { rookery } from './rookery.ts';
import type { Target } from '../load/client.ts';

export const SERVERS = ['rookery', 'prosody', 'ejabberd', 'jabberd2'] as const;
export type ServerName = (typeof SERVERS)[number];

const SETUPS: Readonly<Record<ServerName, (directory: string, port: number, options: ServerOptions) => Promise<Setup> | Setup>> = {
  rookery,
  prosody,
  ejabberd,
  jabberd2,
};

export interface Prepared {
  readonly directory: string;
  readonly target: Target;
  readonly setup: Setup;
}

/** Everything up to the start: directory, port, configuration. `purpose` is part of the directory's name. */
export async function prepareServer(
  name: ServerName,
  purpose: string,
  options: ServerOptions & { readonly offersTls?: boolean },
): Promise<Prepared> {
  const directory = await serverDirectory(`${purpose}-${name}`);
  const port = await freePort();
  const componentPort = await freePort();
  const certificate = options.offersTls === true && name !== 'rookery' ? await makeCertificate(directory) : undefined;
  const setup = await SETUPS[name](directory, port, { ...options, certificate, componentPort });
  return { directory, setup, target: { host: '127.0.0.1', port, domain: 'localhost', componentPort } };
}

async function makeCertificate(directory: string): Promise<Certificate> {
  const { certificateFile, keyFile } = ensureCertificate(directory, ['localhost']);
  const pemFile = join(directory, 'both.pem');
  await writeFile(pemFile, readFileSync(certificateFile, 'utf8') + readFileSync(keyFile, 'utf8'), { mode: 0o600 });
  if (userInfo().uid === 0) for (const file of [certificateFile, keyFile, pemFile]) await chown(file, NOBODY, NOBODY);
  return { certificateFile, keyFile, pemFile };
}
