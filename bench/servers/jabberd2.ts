/** The installed jabberd2: router, session manager and client connections, three processes over one SQLite file. Checked with 2.7.0. */
import { globSync, readFileSync } from 'node:fs';
import { chown, writeFile } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { gunzipSync } from 'node:zlib';
import { freePort } from '../../test/harness/own-process.ts';
import { LoadClient } from '../load/client.ts';
import type { ServerOptions } from './options.ts';
import { NOBODY, type Setup } from './process.ts';

const SCHEMA = '/usr/share/doc/jabberd2/db-setup.sqlite.gz';
const PROBE_PASSWORD = 'is it ready';

export async function jabberd2(directory: string, port: number, { certificate }: ServerOptions): Promise<Setup> {
  const routerPort = await freePort();
  const [library] = globSync('/usr/lib/*/jabberd2');
  if (library === undefined) throw new Error('jabberd2 is not installed');
  const database = join(directory, 'jabberd2.sqlite');
  const schema = new DatabaseSync(database);
  schema.exec(gunzipSync(readFileSync(SCHEMA)).toString());
  schema.close();
  if (userInfo().uid === 0) for (const file of globSync(`${database}*`)) await chown(file, NOBODY, NOBODY);

  const log = (id: string): string => `<log type='file'><file>${join(directory, `${id}.log`)}</file></log>`;
  const common = (id: string): string => `<id>${id}</id><pidfile>${join(directory, `${id}.pid`)}</pidfile>${log(id)}`;
  const toRouter = `<router><ip>127.0.0.1</ip><port>${routerPort}</port><user>jabberd</user><pass>secret</pass>
    <retry><init>30</init><lost>3</lost><sleep>1</sleep></retry></router>`;
  const sqlite = `<sqlite><dbname>${database}</dbname><sql>PRAGMA synchronous = NORMAL;</sql><busy-timeout>2000</busy-timeout>
    <password_type><plaintext/></password_type></sqlite>`;
  const files = {
    'router-users.xml': `<users><user><name>jabberd</name><secret>secret</secret></user></users>`,
    'router-filter.xml': `<filter/>`,
    'router.xml': `<router>${common('router')}
      <local><ip>127.0.0.1</ip><port>${routerPort}</port><users>${directory}/router-users.xml</users><secret>secret</secret></local>
      <io><max_fds>1024</max_fds><limits><bytes>0</bytes><connects>0</connects></limits></io>
      <aci><acl type='all'><user>jabberd</user></acl><filter>${directory}/router-filter.xml</filter></aci></router>`,
    'sm.xml': `<sm>${common('sm')}${toRouter}<local><id>localhost</id></local>
      <storage><path>${library}</path><driver>sqlite</driver>${sqlite}</storage>
      ${sessionModules(library)}
      <discovery><identity><category>server</category><type>im</type><name>jabberd2</name></identity></discovery></sm>`,
    'c2s.xml': `<c2s>${common('c2s')}${toRouter}
      <local><id register-enable='mu'${certificate === undefined ? '' : ` pemfile='${certificate.pemFile}'`}>localhost</id>
        <ip>127.0.0.1</ip><port>${port}</port></local>
      <io><max_fds>65536</max_fds>
        <limits><bytes>0</bytes><stanzas>0</stanzas><connects>0</connects><stanzasize>262144</stanzasize></limits></io>
      <authreg><path>${library}</path><module>sqlite</module>
        <mechanisms><sasl><plain/><scram-sha-1/></sasl></mechanisms>
        <ssl-mechanisms><sasl><plain/><scram-sha-1/></sasl></ssl-mechanisms>${sqlite}</authreg></c2s>`,
  };
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
  const command = (id: string) => ({ program: `/usr/sbin/jabberd2-${id}`, args: ['-c', join(directory, `${id}.xml`)], env: {} });
  return {
    commands: [{ ...command('router'), port: routerPort }, command('sm'), command('c2s')],
    isReady: () => isServed(port),
  };
}

/** Whether a client gets through to the session manager, which an open port does not say. */
async function isServed(port: number): Promise<boolean> {
  const target = { host: '127.0.0.1', port, domain: 'localhost' };
  const clients: LoadClient[] = [];
  const open = async (): Promise<LoadClient> => {
    const client = await LoadClient.open(target, 'is-it-ready');
    clients.push(client);
    return client;
  };
  try {
    await (await open()).register(PROBE_PASSWORD);
    await (await open()).logIn(PROBE_PASSWORD, 'PLAIN', 'probe');
    return true;
  } catch {
    return false;
  } finally {
    for (const client of clients) client.close();
  }
}

/** The chains of Debian's sm.xml but for vCards, private storage, messages of the day, vacation, help and echo. */
function sessionModules(library: string): string {
  const chains = {
    'sess-start': ['status'],
    'sess-end': ['status', 'iq-last'],
    'in-sess': ['validate', 'status', 'privacy', 'roster', 'iq-ping', 'disco', 'offline', 'presence', 'deliver'],
    'out-sess': [],
    'in-router': ['session', 'validate', 'presence', 'privacy'],
    'out-router': ['privacy'],
    'pkt-sm': ['iq-last', 'iq-ping', 'iq-time', 'iq-version', 'disco', 'status', 'presence'],
    'pkt-user': ['roster', 'presence', 'disco', 'deliver', 'offline', 'iq-last'],
    'pkt-router': ['session', 'disco'],
    'user-load': ['active', 'roster', 'roster-publish', 'privacy'],
    'user-unload': [],
    'user-create': ['active'],
    'user-delete': ['active', 'offline', 'privacy', 'roster', 'status', 'iq-last'],
    'disco-extend': ['iq-version'],
  };
  const xml = Object.entries(chains).map(
    ([id, modules]) => `<chain id='${id}'>${modules.map((name) => `<module>${name}</module>`).join('')}</chain>`,
  );
  return `<modules><path>${library}</path>${xml.join('\n')}</modules>`;
}
