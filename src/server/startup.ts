/** What has to be there before anything starts: directories, certificates, the secret of the installation. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { ConfigError, type ConfigProblem } from '../config/error.ts';
import type { ModuleSpec } from '../core/module.ts';
import { OperatorError } from '../kernel/errors.ts';
import type { TlsHost } from '../net/credentials.ts';
import { ensureCertificate, type CertificateFiles } from '../net/self-signed.ts';
import { makeSecret } from './server.ts';

const SECRET_BYTES = 32;

/** Throws OperatorError ERR_DATA_DIR where the directory cannot be made or written. */
export function ensureDataDir({ dataDir }: Config): void {
  try {
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new OperatorError(
      'ERR_DATA_DIR',
      `The data directory ${dataDir} cannot be made: ${(error as Error).message}. Set ROOKERY_DATA_DIR to one that this user may write.`,
      { cause: error },
    );
  }
}

/**
 * The secret that made-up salts come from: it has to outlive restarts, or names without an account
 * could be told by their changing salts.
 */
export function ensureSecret({ dataDir }: Config): Buffer {
  const file = join(dataDir, 'secret');
  try {
    const secret = readFileSync(file);
    if (secret.length === SECRET_BYTES) return secret;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') {
      throw new OperatorError(
        'ERR_DATA_DIR',
        `${file} cannot be read: ${(error as Error).message}. It must belong to the user the server runs as.`,
        { cause: error },
      );
    }
  }
  const secret = makeSecret();
  try {
    writeFileSync(file, secret, { mode: 0o600, flush: true });
  } catch (error) {
    rmSync(file, { force: true }); // half of it would be taken for one
    throw new OperatorError(
      'ERR_DATA_DIR',
      `${file} cannot be written: ${(error as Error).message}. The disk needs some room, and ${dataDir} must belong to the user the server runs as.`,
      { cause: error },
    );
  }
  return secret;
}

/**
 * A domain that a module serves beside its host (`core/service.ts`) is no component's: the module's would never be reached.
 *
 * @throws ConfigError
 */
export function checkServices({ hosts, components }: Pick<Config, 'hosts' | 'components'>, modules: readonly ModuleSpec[]): void {
  const problems: ConfigProblem[] = [];
  for (const settings of hosts) {
    for (const { name, service } of modules) {
      if (service === undefined || settings.modules[name]?.isEnabled !== true) continue;
      const served = service.domain({ domain: settings.domain, settings });
      const owner = Object.values(components).find(
        (each) => each.name === served || (served !== undefined && each.domains.includes(served)),
      );
      if (owner === undefined) continue;
      problems.push({
        code: 'ERR_CONFIG_CONFLICT',
        key: `components."${owner.name}"`,
        reason: `'${served}' is the domain of the module ${name} on ${settings.domain}; give the component another one, or the module (domain or service = false in [modules.${name}])`,
      });
    }
  }
  const [first, ...rest] = problems;
  if (first !== undefined) throw new ConfigError([first, ...rest]);
}

export interface PreparedTls {
  readonly hosts: readonly TlsHost[];
  /** The certificate the server made for hosts that have none; undefined where all have. */
  readonly selfSigned: CertificateFiles | undefined;
}

export function prepareTls(config: Config): PreparedTls {
  const bare = config.hosts.filter(({ certificate }) => certificate === undefined).map(({ domain }) => domain);
  const selfSigned = bare.length === 0 ? undefined : ensureCertificate(certificateDir(config), bare);
  const hosts = config.hosts.map(({ domain, certificate, key }): TlsHost => {
    if (certificate !== undefined && key !== undefined) return { domain, certificateFile: certificate, keyFile: key };
    return { domain, certificateFile: selfSigned!.certificateFile, keyFile: selfSigned!.keyFile };
  });
  return { hosts, selfSigned };
}

/** Where self-signed certificates are kept. */
export function certificateDir({ dataDir }: Pick<Config, 'dataDir'>): string {
  return join(dataDir, 'certificates');
}
