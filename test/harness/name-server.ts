/** A name server on loopback that answers what a test tells it: just enough of RFC 1035 and RFC 2782 for those who look for a service. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

export type DnsRecord =
  | { readonly type: 'A'; readonly address: string }
  | { readonly type: 'SRV'; readonly priority: number; readonly weight: number; readonly port: number; readonly target: string };

/** Records of a name; `silent`: no answer at all. A name that is missing does not exist. */
export type Zone = Readonly<Record<string, readonly DnsRecord[] | 'silent'>>;

const TYPES = { A: 1, SRV: 33 } as const;
const HEADER_BYTES = 12;
const TTL_SECONDS = 60;
/** Response, authoritative. */
const ANSWER = 0x8400;
const NAME_ERROR = 3;

export class NameServer implements AsyncDisposable {
  readonly address: string;
  /** Names that were asked for, with the number of the type, in order. */
  readonly asked: string[] = [];
  private readonly socket: Socket;

  private constructor(socket: Socket, zone: Zone) {
    this.socket = socket;
    this.address = `127.0.0.1:${socket.address().port}`;
    socket.on('message', (query, { port, address }) => {
      const answer = this.answer(query, zone);
      if (answer !== undefined) socket.send(answer, port, address);
    });
  }

  static async start(zone: Zone): Promise<NameServer> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new NameServer(socket, zone);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = once(this.socket, 'close');
    this.socket.close();
    await closed;
  }

  private answer(query: Buffer, zone: Zone): Buffer | undefined {
    const { name, end } = readName(query);
    const type = query.readUInt16BE(end);
    this.asked.push(`${name} ${type}`);
    const known = Object.hasOwn(zone, name) ? zone[name] : undefined;
    if (known === 'silent') return undefined;
    const records = (known ?? []).filter((record) => TYPES[record.type] === type);
    const header = Buffer.alloc(HEADER_BYTES);
    query.copy(header, 0, 0, 2);
    header.writeUInt16BE(ANSWER | (known === undefined ? NAME_ERROR : 0), 2);
    header.writeUInt16BE(1, 4);
    header.writeUInt16BE(records.length, 6);
    return Buffer.concat([header, query.subarray(HEADER_BYTES, end + 4), ...records.map(recordBytes)]);
  }
}

/** Of the only question. */
function readName(query: Buffer): { readonly name: string; readonly end: number } {
  const labels: string[] = [];
  let at = HEADER_BYTES;
  for (let length = query[at]!; length > 0; length = query[at]!) {
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), end: at + 1 };
}

function recordBytes(record: DnsRecord): Buffer {
  const data = record.type === 'A' ? Buffer.from(record.address.split('.').map(Number)) : serviceBytes(record);
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc0_00 | HEADER_BYTES, 0); // the name of the question
  head.writeUInt16BE(TYPES[record.type], 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt32BE(TTL_SECONDS, 6);
  head.writeUInt16BE(data.length, 10);
  return Buffer.concat([head, data]);
}

function serviceBytes({ priority, weight, port, target }: Extract<DnsRecord, { type: 'SRV' }>): Buffer {
  const numbers = Buffer.alloc(6);
  numbers.writeUInt16BE(priority, 0);
  numbers.writeUInt16BE(weight, 2);
  numbers.writeUInt16BE(port, 4);
  const labels =
    target === '.' ? [] : target.split('.').map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`, 'latin1'));
  return Buffer.concat([numbers, ...labels, Buffer.alloc(1)]);
}
