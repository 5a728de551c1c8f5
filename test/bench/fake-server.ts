/** An XMPP server of a few lines, that loses, doubles or swaps messages when it is told to: the judges are judged with it. */
import { createServer, type Server, type Socket } from 'node:net';
import { attributeText, isIq, isMessage, isPresence, FROM, ID, Scanner } from '../../bench/load/scanner.ts';

const TO = Buffer.from('to');
const NAME = Buffer.from('mechanism');

/** What becomes of the nth message (from 1) to one recipient. */
export type Misbehaviour = (nth: number) => 'deliver' | 'lose' | 'double' | 'hold' | 'bounce';

/** Accepts any account with any password by PLAIN. Messages go to full addresses; `hold`: behind the next one. */
export async function startFakeServer(
  misbehave: Misbehaviour = () => 'deliver',
): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const sessions = new Map<string, Session>();
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    const session = new Session(socket, sessions, misbehave);
    socket.on('data', (data: Buffer) => session.read(data));
    socket.on('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as { port: number }).port,
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

class Session {
  private readonly socket: Socket;
  private readonly sessions: Map<string, Session>;
  private readonly misbehave: Misbehaviour;
  private readonly scanner = new Scanner();
  private local = '';
  private jid = '';
  private received = 0;
  private held = '';

  constructor(socket: Socket, sessions: Map<string, Session>, misbehave: Misbehaviour) {
    this.socket = socket;
    this.sessions = sessions;
    this.misbehave = misbehave;
  }

  read(data: Buffer): void {
    this.scanner.push(data, data.length, (bytes, start, end) => this.take(bytes, start, end));
  }

  private take(bytes: Buffer, start: number, end: number): void {
    const text = bytes.toString('utf8', start, end);
    const id = attributeText(bytes, start, end, ID) ?? '';
    if (text.startsWith('<stream:stream')) this.socket.write(`<stream:stream id='s' from='localhost'><stream:features/>`);
    else if (text.startsWith('<auth')) this.authenticate(text, attributeText(bytes, start, end, NAME));
    else if (text.startsWith('</')) this.socket.end('</stream:stream>');
    else if (isIq(bytes, start)) this.answer(text, id);
    else if (isMessage(bytes, start)) this.sessions.get(attributeText(bytes, start, end, TO) ?? '')?.deliver(text, this);
    else if (isPresence(bytes, start) && attributeText(bytes, start, end, FROM) === undefined) this.sessions.set(this.jid, this);
  }

  private authenticate(text: string, mechanism: string | undefined): void {
    if (mechanism !== 'PLAIN') {
      this.socket.write('<failure><invalid-mechanism/></failure>');
      return;
    }
    this.local = Buffer.from(/>([^<]*)</.exec(text)![1]!, 'base64')
      .toString()
      .split('\0')[1]!;
    this.socket.write('<success/>');
    this.scanner.reset();
  }

  private answer(text: string, id: string): void {
    const resource = /<resource>([^<]*)/.exec(text)?.[1];
    if (resource !== undefined) this.jid = `${this.local}@localhost/${resource}`;
    this.socket.write(`<iq type='result' id='${id}'>${resource === undefined ? '' : `<bind><jid>${this.jid}</jid></bind>`}</iq>`);
  }

  private deliver(text: string, from: Session): void {
    const what = this.misbehave(++this.received);
    if (what === 'bounce') from.socket.write(text.replace(`type='chat'`, `type='error'`));
    const held = what === 'deliver' ? this.held : '';
    if (what === 'deliver') this.held = '';
    else if (what === 'hold') this.held = text;
    const copies = { deliver: 1, double: 2, lose: 0, hold: 0, bounce: 0 }[what];
    this.socket.write(text.repeat(copies) + held);
  }
}
