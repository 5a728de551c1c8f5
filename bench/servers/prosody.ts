/** The installed Prosody with its own storage. Checked with 0.12.3. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ECHO } from '../load/scenarios/component.ts';
import type { ServerOptions } from './options.ts';
import type { Setup } from './process.ts';

/** The features that Rookery has, too. */
const MODULES = [
  'disco',
  'roster',
  'saslauth',
  'tls',
  'carbons',
  'smacks',
  'csi',
  'version',
  'time',
  'ping',
  'lastactivity',
  'offline',
  'register_ibr',
  'presence',
  'message',
  'iq',
  'c2s',
];

export async function prosody(directory: string, port: number, { hasArchive, certificate, componentPort }: ServerOptions): Promise<Setup> {
  const file = join(directory, 'prosody.cfg.lua');
  const modules = hasArchive ? [...MODULES, 'mam'] : MODULES;
  const ssl = certificate === undefined ? '' : `ssl = { key = "${certificate.keyFile}"; certificate = "${certificate.certificateFile}" }`;
  await writeFile(
    file,
    `
data_path = "${directory}"
pidfile = "${directory}/prosody.pid"
log = { warn = "*console" }
interfaces = { "127.0.0.1" }
c2s_ports = { ${port} }
c2s_direct_tls_ports = {}
s2s_ports = {}
${componentPort === undefined ? '' : `component_ports = { ${componentPort} }\ncomponent_interface = "127.0.0.1"`}
http_ports = {}
https_ports = {}
modules_enabled = { ${modules.map((name) => `"${name}"`).join(', ')} }
modules_disabled = { "s2s" }
gc = { mode = "generational" }
network_backend = "epoll"
allow_registration = true
allow_unencrypted_plain_auth = true
c2s_require_encryption = false
registration_throttle_max = 1000000
authentication = "internal_hashed"
storage = "internal"
smacks_hibernation_time = 600
smacks_max_old_sessions = 100
default_archive_policy = true
archive_expires_after = "never"
limits = {}
${ssl}
VirtualHost "localhost"
${componentPort === undefined ? '' : `Component "${ECHO.domain}"\n  component_secret = "${ECHO.secret}"`}
`,
  );
  return { commands: [{ program: 'prosody', args: ['--config', file, '-F'], env: {} }] };
}
