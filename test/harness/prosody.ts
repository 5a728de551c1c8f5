/** The installed Prosody, with a configuration under which the transcripts make sense. Checked with 0.12. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort, serverDirectory, startProcess } from './own-process.ts';
import { COMPONENT, type Target } from './target.ts';
import { tcpTarget } from './tcp-target.ts';

const DOMAIN = 'capulet.lit';

export async function startProsody(): Promise<Target> {
  const directory = await serverDirectory('prosody');
  const port = await freePort();
  const componentPort = await freePort();
  const file = join(directory, 'prosody.cfg.lua');
  await writeFile(file, configuration(directory, port, componentPort));
  const { stop } = await startProcess({ command: 'prosody', args: ['--config', file, '-F'], directory, port });
  return tcpTarget({ host: '127.0.0.1', port, domain: DOMAIN, componentPort, stop });
}

function configuration(directory: string, port: number, componentPort: number): string {
  return `
data_path = "${directory}"
admins = { "escalus@${DOMAIN}" }
pidfile = "${directory}/prosody.pid"
log = { warn = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
s2s_ports = {}
component_ports = { ${componentPort} }
component_interface = "127.0.0.1"
http_ports = {}
https_ports = {}
modules_enabled = { "adhoc", "admin_adhoc", "announce", "disco", "pep", "bookmarks", "vcard", "roster", "saslauth", "tls", "private", "blocklist", "carbons", "smacks", "csi", "version", "uptime", "time", "ping", "lastactivity", "register", "user_account_management", "offline", "register_ibr", "presence", "message", "iq", "c2s" }
modules_disabled = { "s2s" }
allow_registration = true
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
registration_throttle_max = 1000000
authentication = "internal_plain"
storage = "internal"
VirtualHost "${DOMAIN}"
Component "pubsub.${DOMAIN}" "pubsub"
  autocreate_on_publish = true
  autocreate_on_subscribe = false
Component "${COMPONENT.domain}"
  component_secret = "${COMPONENT.secret}"
`;
}
