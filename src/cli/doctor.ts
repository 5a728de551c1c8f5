/**
 * `rookery doctor`: looks for what keeps a server from starting or from serving well, and
 * says how to mend it. Each check stands alone and never throws.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs';
import { createServer, isIP } from 'node:net';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';
import { domainToASCII } from 'node:url';
import type { Config } from '../config/config.ts';
import { humanBytes, humanDuration } from './table.ts';

/** `error`: the server will not work. `warning`: it will, but not for long or not for all. */
export type Level = 'ok' | 'warning' | 'error';

export interface Finding {
  readonly level: Level;
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
}

/** What the checks look at besides the configuration; a test passes its own. */
export interface DoctorInput {
  readonly config: Config;
  /** Whether a server answers at the control socket: then its ports are taken, and should be. */
  readonly isRunning: boolean;
  readonly nowMs: number;
  /** When this program was made: the clock cannot be earlier. */
  readonly builtMs: number;
  /** Where the server keeps the pair it makes for hosts without a certificate. */
  readonly selfSignedPair?: ((config: Config) => CertificatePair) | undefined;
}

/** Paths. */
export interface CertificatePair {
  readonly certificate: string;
  readonly key: string;
}

const DAY_MS = 86_400_000;
/** Certificates are renewed at the latest by then, where renewal works. */
const EXPIRY_WARNING_MS = 14 * DAY_MS;
const MIN_FREE_BYTES = 1024 * 1024 * 1024;
/** Files open besides connections: store, listeners, threads. */
const RESERVED_FILES = 256;

const ok = (text: string): Finding => ({ level: 'ok', text });
const warning = (text: string, fix: string): Finding => ({ level: 'warning', text, fix });
const error = (text: string, fix: string): Finding => ({ level: 'error', text, fix });

/** All checks, in the order in which an operator mends things. */
export async function examine(input: DoctorInput): Promise<Finding[]> {
  return [
    ...checkDataDirectory(input.config.dataDir),
    ...checkClock(input),
    ...checkCertificates(input),
    ...(input.isRunning ? [ok('A server is running with this data directory; its ports were not tried')] : await checkPorts(input.config)),
    ...checkOpenFiles(input.config, openFilesLimit()),
    ...checkMemory(input.config, totalmem()),
    ...checkHosts(input.config),
  ];
}

/** Text lines, worst last where it is seen. */
export function renderFindings(findings: readonly Finding[]): string[] {
  const words: Record<Level, string> = { ok: 'ok     ', warning: 'warning', error: 'ERROR  ' };
  return findings.flatMap(({ level, text, fix }) => [`${words[level]}  ${text}`, ...(fix === undefined ? [] : [`         → ${fix}`])]);
}

export function checkDataDirectory(dataDir: string): Finding[] {
  if (!existsSync(dataDir)) {
    const parent = nearestExisting(dataDir);
    return isWritable(parent)
      ? [ok(`The data directory ${dataDir} will be made at the first start`)]
      : [
          error(
            `The data directory ${dataDir} is missing and cannot be made in ${parent}`,
            `Make it, owned by the user that runs the server: install -d -m 700 ${dataDir}`,
          ),
        ];
  }
  const stat = statSync(dataDir);
  if (!stat.isDirectory()) return [error(`${dataDir} is not a directory`, 'Set ROOKERY_DATA_DIR to a directory')];
  const findings: Finding[] = [];
  if (!isWritable(dataDir)) {
    findings.push(
      error(`The data directory ${dataDir} cannot be written by this user`, `Run as its owner, or: chown -R $(id -un) ${dataDir}`),
    );
  }
  if ((stat.mode & 0o077) !== 0) {
    findings.push(
      warning(`Others may look into the data directory ${dataDir} (mode ${(stat.mode & 0o777).toString(8)})`, `chmod 700 ${dataDir}`),
    );
  }
  const { bavail, bsize } = statfsSync(dataDir);
  if (bavail * bsize < MIN_FREE_BYTES) {
    findings.push(warning(`Only ${humanBytes(bavail * bsize)} are free where ${dataDir} is`, 'Make room: without it messages are refused'));
  }
  return findings.length > 0 ? findings : [ok(`The data directory ${dataDir} is this user’s alone and has room`)];
}

function nearestExisting(path: string): string {
  let current = path;
  while (!existsSync(current) && dirname(current) !== current) current = dirname(current);
  return current;
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A clock that is wrong makes certificates invalid and messages out of order. */
export function checkClock({ config, nowMs, builtMs }: DoctorInput): Finding[] {
  if (nowMs < builtMs - DAY_MS) {
    return [
      error(
        `The clock says ${new Date(nowMs).toISOString()}, which is before this program was made`,
        'Set the clock and keep it set, e.g. with systemd-timesyncd or chrony',
      ),
    ];
  }
  const newest = newestFileMs(config.dataDir);
  if (newest !== undefined && newest > nowMs + DAY_MS) {
    return [
      warning(
        `There are files from ${humanDuration(newest - nowMs)} in the future in the data directory: the clock went back`,
        'Check the clock, e.g. with timedatectl',
      ),
    ];
  }
  return [ok('The clock is plausible')];
}

function newestFileMs(directory: string): number | undefined {
  try {
    const times = readdirSync(directory).map((name) => statSync(join(directory, name), { throwIfNoEntry: false })?.mtimeMs ?? 0);
    return times.length === 0 ? undefined : Math.max(...times);
  } catch {
    return undefined;
  }
}

export function checkCertificates({ config, nowMs, selfSignedPair }: DoctorInput): Finding[] {
  return config.hosts.flatMap((host) => {
    if (host.certificate !== undefined && host.key !== undefined) return checkPair(host.domain, host.certificate, host.key, nowMs);
    const made = selfSignedPair?.(config);
    if (made !== undefined && existsSync(made.certificate)) {
      const findings = checkPair(host.domain, made.certificate, made.key, nowMs).filter(({ level }) => level !== 'ok');
      if (findings.length > 0) return findings;
    }
    return [
      warning(
        `${host.domain} has no certificate of its own but a self-signed one, which clients warn of`,
        'Get one, e.g. from Let’s Encrypt, and set ROOKERY_TLS_CERTIFICATE and ROOKERY_TLS_KEY, or certificate and key of the host',
      ),
    ];
  });
}

function checkPair(domain: string, certificatePath: string, keyPath: string, nowMs: number): Finding[] {
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(readFileSync(certificatePath));
  } catch (cause) {
    return [
      error(
        `The certificate of ${domain}, ${certificatePath}, cannot be used (${reasonOf(cause)})`,
        'It must be a readable PEM file, the server’s certificate first',
      ),
    ];
  }
  try {
    if (!certificate.checkPrivateKey(createPrivateKey(readFileSync(keyPath)))) {
      return [
        error(`The key ${keyPath} does not belong to the certificate ${certificatePath}`, 'Set the key that the certificate was made with'),
      ];
    }
  } catch (cause) {
    return [
      error(
        `The key of ${domain}, ${keyPath}, cannot be used (${reasonOf(cause)})`,
        'It must be a PEM file without passphrase that this user can read',
      ),
    ];
  }
  const findings: Finding[] = [];
  const ends = certificate.validToDate.getTime();
  if (ends < nowMs)
    findings.push(
      error(`The certificate of ${domain} expired ${humanDuration(nowMs - ends)} ago`, `Renew ${certificatePath} and run: rookery reload`),
    );
  else if (certificate.validFromDate.getTime() > nowMs)
    findings.push(error(`The certificate of ${domain} is not valid yet`, 'Check the clock'));
  else if (ends < nowMs + EXPIRY_WARNING_MS) {
    findings.push(
      warning(`The certificate of ${domain} expires in ${humanDuration(ends - nowMs)}`, `Renew ${certificatePath} and run: rookery reload`),
    );
  }
  // RFC 9525 §6.3: names in the subject do not count.
  if (!isFor(certificate, domain)) {
    findings.push(
      error(
        `The certificate ${certificatePath} is not for ${domain}`,
        `Get one with the DNS name ${domain} among its subject alternative names`,
      ),
    );
  }
  return findings.length > 0 ? findings : [ok(`The certificate of ${domain} is valid for ${humanDuration(ends - nowMs)}`)];
}

function isFor(certificate: X509Certificate, domain: string): boolean {
  const address = domain.startsWith('[') ? domain.slice(1, -1) : domain;
  if (isIP(address) !== 0) return certificate.checkIP(address) !== undefined;
  return certificate.checkHost(domainToASCII(domain), { subject: 'never' }) !== undefined;
}

function reasonOf(cause: unknown): string {
  const { code, message } = cause as NodeJS.ErrnoException;
  return code ?? message;
}

/** Tries to listen on every port the server would. */
export async function checkPorts(config: Config): Promise<Finding[]> {
  const wanted: [string, readonly number[]][] = [
    ['clients (STARTTLS)', config.c2s.ports],
    ['clients (TLS)', config.c2s.tlsPorts],
    ['servers', config.s2s.ports],
    ['components', config.component.ports],
    ['HTTP', config.http.ports],
    ['HTTPS', config.http.tlsPorts],
  ];
  const findings: Finding[] = [];
  for (const [what, ports] of wanted) {
    for (const port of ports) {
      for (const address of config.listen) {
        const code = await tryToListen(port, address === '*' ? undefined : address);
        if (code !== undefined) findings.push(portFinding(what, port, address, code));
      }
    }
  }
  return findings.length > 0 ? findings : [ok('All ports are free')];
}

function tryToListen(port: number, host: string | undefined): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', (cause: NodeJS.ErrnoException) => resolve(cause.code ?? cause.message));
    server.listen({ port, ...(host === undefined ? {} : { host }) }, () => server.close(() => resolve(undefined)));
  });
}

function portFinding(what: string, port: number, address: string, code: string): Finding {
  const place = address === '*' ? `Port ${port}` : `Port ${port} of ${address}`;
  if (code === 'EADDRINUSE') return error(`${place} for ${what} is in use by another program`, `Find it with: ss -ltnp 'sport = :${port}'`);
  if (code === 'EACCES') {
    return error(
      `${place} for ${what} is reserved for privileged programs`,
      'With systemd: AmbientCapabilities=CAP_NET_BIND_SERVICE; or choose a port from 1024 on',
    );
  }
  if (code === 'EADDRNOTAVAIL') return error(`${address} is not an address of this machine`, 'Set ROOKERY_LISTEN to one that is, or to *');
  return error(`${place} for ${what} cannot be opened (${code})`, 'Check the network configuration');
}

/** The limit of this process, which the server would have too; undefined where the system does not tell. */
export function openFilesLimit(): number | undefined {
  try {
    const match = /^Max open files +\d+ +(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8'));
    return match === null ? undefined : match[1] === 'unlimited' ? Number.POSITIVE_INFINITY : Number(match[1]);
  } catch {
    return undefined;
  }
}

/** Node raises the soft limit to the hard one by itself. */
export function checkOpenFiles(config: Config, limit: number | undefined): Finding[] {
  if (limit === undefined) return [];
  const wanted = config.limits.connectionsPerWorker * config.workers.count + RESERVED_FILES;
  if (limit >= wanted) return [ok('Open files are not limited below the connections configured')];
  const possible = Math.max(0, limit - RESERVED_FILES);
  const text = `The limit of open files (${limit}) allows about ${possible} connections, of ${wanted - RESERVED_FILES} configured`;
  const fix = `With systemd: LimitNOFILE=${wanted}; in a shell: ulimit -Hn ${wanted}. Or lower ROOKERY_MAX_CONNECTIONS`;
  return [possible < 100 ? error(text, fix) : warning(text, fix)];
}

export function checkMemory(config: Config, totalBytes: number): Finding[] {
  const wanted = config.workers.heapBytes * config.workers.count;
  return wanted > totalBytes
    ? [
        warning(
          `The workers’ heaps may grow to ${humanBytes(wanted)}, but this machine has ${humanBytes(totalBytes)}`,
          'Lower ROOKERY_WORKER_HEAP, so that a worker restarts before the system runs out of memory',
        ),
      ]
    : [ok(`Memory suffices for the heaps of all workers (${config.workers.count})`)];
}

function checkHosts(config: Config): Finding[] {
  if (config.hosts.length > 1 || config.hosts[0]!.domain !== 'localhost') return [];
  return [warning('The only host is localhost, which is good for trying out', 'Set ROOKERY_DOMAIN to the domain of your addresses')];
}
