/** A certificate authority that exists for one test run. Needs the `openssl` command. */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

export interface CertificateFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  /** Certificate and key in one, as some servers want it. */
  readonly bothFile: string;
}

export interface CertificateOptions {
  /** Entries of subjectAltName as openssl writes them: `DNS:montague.test`, `otherName:1.3.6.1.5.5.7.8.5;UTF8:montague.test`. */
  readonly names: readonly string[];
  /** Default: `serverAuth`, as public authorities write it. */
  readonly uses?: string;
  readonly commonName?: string;
  /** Days; negative: it has expired. */
  readonly days?: number;
}

export class Authority implements AsyncDisposable {
  readonly directory: string;
  readonly file: string;
  private count = 0;

  private constructor(directory: string) {
    this.directory = directory;
    this.file = join(directory, 'ca.pem');
  }

  static async make(): Promise<Authority> {
    const directory = await mkdtemp(join(tmpdir(), 'rookery-ca-'));
    await run('chmod', ['755', directory]); // servers that run as nobody read it
    const authority = new Authority(directory);
    await authority.request('ca', 'An authority');
    const extensions = join(directory, 'ca.ext');
    await writeFile(extensions, 'basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n');
    const at = (name: string): string => join(directory, name);
    await run('openssl', [
      'x509',
      '-req',
      '-in',
      at('ca.csr'),
      '-signkey',
      at('ca.key'),
      '-days',
      '2',
      '-extfile',
      extensions,
      '-out',
      at('ca.pem'),
    ]);
    return authority;
  }

  async issue({ names, uses = 'serverAuth', commonName = 'x', days = 2 }: CertificateOptions): Promise<CertificateFiles> {
    const name = `leaf${++this.count}`;
    const at = (suffix: string): string => join(this.directory, name + suffix);
    await this.request(name, commonName);
    const lines = [`subjectAltName=${names.join(',')}`, 'basicConstraints=CA:FALSE', 'keyUsage=critical,digitalSignature'];
    await writeFile(at('.ext'), `${[...lines, ...(uses === '' ? [] : [`extendedKeyUsage=${uses}`])].join('\n')}\n`);
    const ca = ['-CA', this.file, '-CAkey', join(this.directory, 'ca.key'), '-CAcreateserial'];
    await run('openssl', ['x509', '-req', '-in', at('.csr'), ...ca, '-days', String(days), '-extfile', at('.ext'), '-out', at('.pem')]);
    await writeFile(at('.both.pem'), (await readFile(at('.pem'), 'utf8')) + (await readFile(at('.key'), 'utf8')), { mode: 0o644 });
    await run('chmod', ['644', at('.key')]);
    return { certificateFile: at('.pem'), keyFile: at('.key'), bothFile: at('.both.pem') };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  private async request(name: string, commonName: string): Promise<void> {
    const at = (suffix: string): string => join(this.directory, name + suffix);
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', at('.key')];
    await run('openssl', ['req', '-new', ...key, '-subj', `/CN=${commonName}`, '-out', at('.csr')]);
  }
}

/** Whether there is an `openssl` to make one with. */
export async function hasOpenssl(): Promise<boolean> {
  return run('openssl', ['version']).then(
    () => true,
    () => false,
  );
}
