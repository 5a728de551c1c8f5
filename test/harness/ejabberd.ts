/** The installed ejabberd, with a configuration under which the transcripts make sense. Checked with 23.01. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, serverDirectory, startProcess } from './own-process.ts';
import { COMPONENT, type Target } from './target.ts';
import { tcpTarget } from './tcp-target.ts';

const DOMAIN = 'capulet.lit';

export async function startEjabberd(): Promise<Target> {
  const directory = await serverDirectory('ejabberd');
  const port = await freePort();
  const componentPort = await freePort();
  await writeFile(join(directory, 'ejabberd.yml'), configuration(port, componentPort));
  const { stop } = await startProcess({
    command: 'erl',
    args: ['-noinput', '-pa', ...(await libraryPaths()), '-mnesia', 'dir', `"${directory}/mnesia"`, '-s', 'ejabberd'],
    directory,
    env: {
      EJABBERD_CONFIG_PATH: join(directory, 'ejabberd.yml'),
      EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
      ERL_CRASH_DUMP: join(directory, 'erl_crash.dump'),
    },
    port,
  });
  return tcpTarget({ host: '127.0.0.1', port, domain: DOMAIN, componentPort, stop });
}

/** Where Debian keeps the Erlang libraries it is made of. */
async function libraryPaths(): Promise<string[]> {
  const { globSync } = await import('node:fs');
  return globSync('/usr/lib/*/ejabberd-*/ebin').concat(globSync('/usr/lib/erlang/lib/*/ebin'), globSync('/usr/lib/*-linux-*/*/ebin'));
}

function configuration(port: number, componentPort: number): string {
  return `
hosts: ["${DOMAIN}"]
loglevel: warning
listen:
  - port: ${port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls: false
    max_stanza_size: 262144
    access: c2s
  - port: ${componentPort}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts:
      "${COMPONENT.domain}": { password: "${COMPONENT.secret}" }
s2s_use_starttls: optional
auth_method: internal
disable_sasl_mechanisms: ["X-OAUTH2"]
registration_timeout: infinity
acl:
  local: { user_regexp: "" }
  admin: { user: "escalus@${DOMAIN}" }
access_rules:
  c2s: { allow: all }
  register: { allow: all }
  local: { allow: local }
  configure: { allow: admin }
  announce: { allow: admin }
shaper_rules:
  max_user_sessions: 20
  max_user_offline_messages: 1000
modules:
  mod_adhoc: {}
  mod_announce: { access: announce }
  mod_configure: {}
  mod_blocking: {}
  mod_privacy: {}
  mod_caps: {}
  mod_disco: {}
  mod_last: {}
  mod_offline: { access_max_user_messages: max_user_offline_messages }
  mod_ping: {}
  mod_private: {}
  mod_pubsub: { plugins: [flat, pep], access_createnode: local }
  mod_vcard: { search: false }
  mod_register: { ip_access: all, access: register, welcome_message: { subject: "", body: "" } }
  mod_roster: { versioning: true }
  mod_stream_mgmt: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_time: {}
  mod_version: { show_os: false }
`;
}
