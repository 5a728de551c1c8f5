/** The client side of SCRAM, for tests: RFC 5802, with channel binding and the check of XEP-0474. */
import { createHmac, hash as digest, pbkdf2Sync, randomBytes } from 'node:crypto';

export interface ScramClientOptions {
  /** `SCRAM-SHA-1`, `-256` or `-512`, with `-PLUS` or without. */
  readonly mechanism: string;
  readonly username: string;
  /** Prepared by OpaqueString; ASCII needs none. */
  readonly password: string;
  readonly authzid?: string;
  /** Needed for `-PLUS`. */
  readonly channelBinding?: { readonly type: string; readonly data: Buffer };
  /** Without `-PLUS`: 'n' (default) for a client without channel binding, 'y' for one that saw none offered. */
  readonly flag?: 'n' | 'y';
  readonly nonce?: string;
  /** Appended to the client-final message before the proof, e.g. `x=1`. */
  readonly extension?: string;
}

const ALGORITHMS: Readonly<Record<string, readonly [algorithm: string, bytes: number]>> = {
  'SHA-1': ['sha1', 20],
  'SHA-256': ['sha256', 32],
  'SHA-512': ['sha512', 64],
};
/** A server that asks for more is refused. */
const MAX_ITERATIONS = 1_000_000;

export class ScramClient {
  /** Attributes of the server-first message, e.g. `h`. Filled by `final`. */
  readonly server = new Map<string, string>();
  private readonly options: ScramClientOptions;
  private readonly gs2Header: string;
  private readonly bare: string;
  private readonly nonce: string;
  private serverSignature: string | undefined;

  constructor(options: ScramClientOptions) {
    this.options = options;
    const { channelBinding, flag = 'n', authzid, username } = options;
    const isPlus = options.mechanism.endsWith('-PLUS');
    if (isPlus && channelBinding === undefined) throw new Error('a -PLUS mechanism needs a channel binding');
    this.gs2Header = `${isPlus ? `p=${channelBinding!.type}` : flag},${authzid === undefined ? '' : `a=${escapeName(authzid)}`},`;
    this.nonce = options.nonce ?? randomBytes(18).toString('base64');
    this.bare = `n=${escapeName(username)},r=${this.nonce}`;
  }

  /** client-first-message */
  first(): Buffer {
    return Buffer.from(this.gs2Header + this.bare);
  }

  /**
   * client-final-message
   *
   * @throws if the server's message is none, or its nonce does not begin with ours.
   */
  final(serverFirst: Buffer): Buffer {
    const text = serverFirst.toString();
    for (const attribute of text.split(',')) this.server.set(attribute.slice(0, 1), attribute.slice(2));
    const [nonce = '', salt = '', iterations = ''] = ['r', 's', 'i'].map((name) => this.server.get(name) ?? '');
    if (!nonce.startsWith(this.nonce) || nonce === this.nonce) throw new Error('the nonce is not ours');
    if (!/^[1-9][0-9]*$/.test(iterations) || Number(iterations) > MAX_ITERATIONS) throw new Error('no acceptable iteration count');
    const [algorithm, bytes] = this.hash();
    const salted = pbkdf2Sync(this.options.password, Buffer.from(salt, 'base64'), Number(iterations), bytes, algorithm);
    const hmac = (key: Buffer, data: string): Buffer => createHmac(algorithm, key).update(data).digest();
    const binding = this.options.mechanism.endsWith('-PLUS') ? this.options.channelBinding!.data : Buffer.alloc(0);
    const input = Buffer.concat([Buffer.from(this.gs2Header), binding]).toString('base64');
    const extension = this.options.extension === undefined ? '' : `,${this.options.extension}`;
    const withoutProof = `c=${input},r=${nonce}${extension}`;
    const authMessage = `${this.bare},${text},${withoutProof}`;
    const clientKey = hmac(salted, 'Client Key');
    const signature = hmac(digest(algorithm, clientKey, 'buffer'), authMessage);
    const proof = clientKey.map((byte, i) => byte ^ signature[i]!);
    this.serverSignature = hmac(hmac(salted, 'Server Key'), authMessage).toString('base64');
    return Buffer.from(`${withoutProof},p=${Buffer.from(proof).toString('base64')}`);
  }

  /** Whether the server-final message proves that the server knows the password. */
  isServerProved(serverFinal: Buffer): boolean {
    return this.serverSignature !== undefined && serverFinal.toString() === `v=${this.serverSignature}`;
  }

  /** Whether the server advertised what this client saw. XEP-0474 §6.2; also false where the server did not say. */
  isOfferUntouched(mechanisms: readonly string[], bindingTypes: readonly string[]): boolean {
    const list = mechanisms.toSorted().join('\x1e') + (bindingTypes.length === 0 ? '' : '\x1f' + bindingTypes.toSorted().join('\x1e'));
    return this.server.get('h') === digest(this.hash()[0], list, 'base64');
  }

  private hash(): readonly [algorithm: string, bytes: number] {
    return ALGORITHMS[this.options.mechanism.replace(/^SCRAM-|-PLUS$/g, '')]!;
  }
}

function escapeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C');
}
