/** The installed ejabberd with Mnesia. Checked with 23.01. */
import { globSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ECHO } from '../load/scenarios/component.ts';
import type { ServerOptions } from './options.ts';
import type { Setup } from './process.ts';

const componentListener = (port: number): string => `  - port: ${port}
    ip: "127.0.0.1"
    module: ejabberd_service
    hosts:
      "${ECHO.domain}": { password: "${ECHO.secret}" }
`;

/** Modules: the features that Rookery has, too. No shaper, no limits on one address. */
export async function ejabberd(directory: string, port: number, options: ServerOptions): Promise<Setup> {
  const { hasArchive, archiveStore, certificate, componentPort } = options;
  const file = join(directory, 'ejabberd.yml');
  const isSqlite = hasArchive && archiveStore === 'sqlite';
  await writeFile(
    file,
    `
hosts: ["localhost"]
loglevel: warning
${isSqlite ? `sql_type: sqlite\nsql_database: "${directory}/archive.sqlite"` : ''}
${certificate === undefined ? '' : `certfiles: ["${certificate.pemFile}"]`}
listen:
  - port: ${port}
    ip: "127.0.0.1"
    module: ejabberd_c2s
    starttls: ${certificate !== undefined}
    starttls_required: false
    backlog: 4096
    max_stanza_size: 262144
    access: c2s
${componentPort === undefined ? '' : componentListener(componentPort)}auth_method: internal
auth_password_format: scram
disable_sasl_mechanisms: ["X-OAUTH2"]
registration_timeout: infinity
acl:
  local: { user_regexp: "" }
access_rules:
  c2s: { allow: all }
  register: { allow: all }
shaper_rules:
  max_user_sessions: 20
  max_user_offline_messages: 100000
modules:
  mod_caps: {}
  mod_carboncopy: {}
  mod_client_state: {}
  mod_disco: {}
  mod_last: {}
  mod_offline: { access_max_user_messages: max_user_offline_messages }
  mod_ping: {}
  mod_register: { ip_access: all, access: register, welcome_message: { subject: "", body: "" } }
  mod_roster: { versioning: true }
  mod_stream_mgmt: { resend_on_timeout: true, resume_timeout: 600, max_resume_timeout: 600, max_ack_queue: 10000 }
  mod_time: {}
  mod_version: { show_os: false }
${hasArchive ? `  mod_mam: { default: always, db_type: ${isSqlite ? 'sql' : 'mnesia'} }\n` : ''}`,
  );
  const libraries = ['/usr/lib/*/ejabberd-*/ebin', '/usr/lib/erlang/lib/*/ebin', '/usr/lib/*-linux-*/*/ebin'].flatMap((pattern) =>
    globSync(pattern),
  );
  const command = {
    program: 'erl',
    // As Debian's ejabberdctl starts it.
    args: ['+K', 'true', '+P', '250000', '-noinput', '-pa', ...libraries, '-mnesia', 'dir', `"${directory}/mnesia"`, '-s', 'ejabberd'],
    env: {
      EJABBERD_CONFIG_PATH: file,
      EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
      ERL_CRASH_DUMP: join(directory, 'erl_crash.dump'),
    },
  };
  return { commands: [command] };
}
