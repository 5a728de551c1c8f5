/** Processes of Debian's jabberd2 that take a server under test for their router. Checked with 2.7.0. */
import { existsSync, globSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { serverDirectory, startProcess, type RunningProcess } from './own-process.ts';

const MODULES = globSync('/usr/lib/*/jabberd2')[0];
export const hasJabberd2 = existsSync('/usr/sbin/jabberd2-sm') && MODULES !== undefined;

export interface Jabberd2 extends AsyncDisposable {
  /** What the process of that name has logged. */
  readonly directory: string;
}

export interface Jabberd2Options {
  readonly routerPort: number;
  readonly user: string;
  readonly secret: string;
  /** Whose accounts there are; all have the password `secret`. */
  readonly domain: string;
  readonly c2sPort: number;
  readonly s2sPort: number;
}

/** Its session manager, its client listener and its server links: all but the router. */
export async function startJabberd2(options: Jabberd2Options): Promise<Jabberd2> {
  const directory = await serverDirectory('jabberd2');
  const authenticator = join(directory, 'pipe-auth.sh');
  await writeFile(authenticator, PIPE, { mode: 0o755 });
  const common = (id: string): string => `
    <id>${id}</id>
    <pidfile>${directory}/${id}.pid</pidfile>
    <router><ip>127.0.0.1</ip><port>${options.routerPort}</port><user>${options.user}</user><pass>${options.secret}</pass>
      <retry><init>3</init><lost>20</lost><sleep>1</sleep></retry></router>
    <log type='file'><file>${directory}/${id}.log</file></log>`;
  const files = {
    sm: `<sm>${common('sm')}<local><id>${options.domain}</id></local>
      <storage><path>${MODULES}</path><driver>fs</driver><fs><path>${directory}</path></fs></storage>
      <modules><path>${MODULES}</path>${CHAINS}</modules>
      <discovery><identity><category>server</category><type>im</type><name>jabberd2</name></identity></discovery>
      <user><auto-create/></user></sm>`,
    s2s: `<s2s>${common('s2s')}<local><ip>127.0.0.1</ip><port>${options.s2sPort}</port></local>
      <check><interval>60</interval><queue>60</queue></check><lookup><srv>xmpp-server</srv></lookup></s2s>`,
    c2s: `<c2s>${common('c2s')}<local><id>${options.domain}</id><ip>127.0.0.1</ip><port>${options.c2sPort}</port></local>
      <authreg><path>${MODULES}</path><module>pipe</module><mechanisms><sasl><plain/></sasl></mechanisms>
      <pipe><exec>${authenticator}</exec></pipe></authreg></c2s>`,
  };
  const running: RunningProcess[] = [];
  for (const [id, text] of Object.entries(files)) {
    const file = join(directory, `${id}.xml`);
    await writeFile(file, text);
    const port = id === 'c2s' ? options.c2sPort : id === 's2s' ? options.s2sPort : undefined;
    running.unshift(await startProcess({ command: `/usr/sbin/jabberd2-${id}`, args: ['-c', file], directory, port }));
  }
  return {
    directory,
    async [Symbol.asyncDispose]() {
      for (const process of running) await process.end();
      await rm(directory, { recursive: true, force: true }); // while one of them runs, it may get new files
    },
  };
}

/** jabberd2's protocol for authenticators: everybody exists, and the password is `secret`. */
const PIPE = `#!/bin/sh
echo "OK USER-EXISTS GET-PASSWORD CHECK-PASSWORD FREE"
while read -r word rest; do
  case $word in
    FREE) exit ;;
    USER-EXISTS | CHECK-PASSWORD) echo OK ;;
    GET-PASSWORD) echo "OK c2VjcmV0" ;;
    *) echo NO ;;
  esac
done
`;

const CHAINS = Object.entries({
  'sess-start': ['status'],
  'sess-end': ['status', 'iq-last'],
  'in-sess': ['validate', 'status', 'roster', 'iq-ping', 'disco', 'offline', 'presence', 'deliver'],
  'in-router': ['session', 'validate', 'presence'],
  'pkt-sm': ['iq-ping', 'iq-version', 'disco', 'presence'],
  'pkt-user': ['roster', 'presence', 'disco', 'deliver', 'offline', 'iq-last'],
  'pkt-router': ['session', 'disco'],
  'user-load': ['active', 'roster'],
  'user-create': ['active'],
  'user-delete': ['active', 'roster', 'offline', 'status', 'iq-last'],
  'disco-extend': ['iq-version'],
})
  .map(([chain, modules]) => `<chain id='${chain}'>${modules.map((name) => `<module>${name}</module>`).join('')}</chain>`)
  .join('');
