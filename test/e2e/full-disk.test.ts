/**
 * A disk that is full, refuses larger files or becomes read-only under a running server: senders are told of each message that was
 * not kept, nothing acknowledged disappears, and service returns when the disk does.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ServerProcess } from './server-process.ts';
import { SmClient } from './sm-client.ts';
import { SmallDisk } from './small-disk.ts';

const PASSWORD = 'a password';
const SETTINGS = { ROOKERY_DOMAIN: 'localhost', ROOKERY_TLS_REQUIRED: 'false', ROOKERY_WORKERS: '2', ROOKERY_CONNECT_RATE: '1000' };
const PADDING = 'x'.repeat(800);
const FULL = 'wait resource-constraint'; // RFC 6120 §8.3.3.18

async function withUsers(settings: Record<string, string> = {}): Promise<ServerProcess> {
  const server = await ServerProcess.start({ ...SETTINGS, ...settings });
  for (const name of ['romeo', 'juliet']) await server.addUser(`${name}@localhost`, PASSWORD);
  return server;
}

/** Puts another file system in place of the stopped server's directory, with the same files. */
function move<T>(server: ServerProcess, mount: () => T): T {
  const aside = mkdtempSync(join(tmpdir(), 'rookery-aside-'));
  try {
    cpSync(server.dataDir, aside, { recursive: true });
    const mounted = mount();
    cpSync(aside, server.dataDir, { recursive: true });
    return mounted;
  } finally {
    rmSync(aside, { recursive: true, force: true });
  }
}

async function onSmallDisk(run: (server: ServerProcess, disk: SmallDisk) => Promise<void>): Promise<void> {
  await using server = await withUsers();
  await server.stop();
  using disk = move(server, () => SmallDisk.mount(8, server.dataDir));
  await server.launch();
  await run(server, disk);
  await server.kill();
}

/** Numbered messages of romeo to juliet, who is not there, and what became of them. */
class Correspondence {
  readonly romeo: SmClient;
  private sent = 0;

  constructor(server: ServerProcess) {
    this.romeo = new SmClient(server.port, 'romeo', PASSWORD);
  }

  /** How many were kept, and how many refused; each is one or the other. */
  async send(count: number): Promise<{ readonly kept: number; readonly refused: number }> {
    const ids = this.say(count);
    await this.romeo.settled(ids);
    for (const id of ids) if (this.romeo.refused.has(id)) assert.equal(this.romeo.refused.get(id), FULL, id);
    const refused = ids.filter((id) => this.romeo.refused.has(id)).length;
    return { kept: count - refused, refused };
  }

  /** Sends, and waits for nothing. */
  say(count: number): string[] {
    const ids = Array.from({ length: count }, () => `m${this.sent++}`);
    for (const id of ids) this.romeo.message('juliet@localhost', id, PADDING);
    return ids;
  }

  /** Sends until the server is back; refusals are counted, not failures. */
  async untilBack(): Promise<void> {
    const fromMs = performance.now();
    while ((await this.send(1)).kept === 0) assert.ok(performance.now() - fromMs < 10_000, 'service does not return');
  }

  /** Acknowledged, and never refused. */
  get kept(): string[] {
    return [...this.romeo.acknowledged].filter((id) => /^m\d+$/.test(id) && !this.romeo.refused.has(id));
  }

  /** What juliet finds waiting, in order and each once; and what both archives have. */
  async check(server: ServerProcess, exactly = true): Promise<void> {
    const { kept } = this;
    const juliet = new SmClient(server.port, 'juliet', PASSWORD);
    await juliet.connect('balcony');
    juliet.stanza('there', '<presence/>');
    await juliet.until(() => juliet.count(/^<message/) >= kept.length, `${kept.length} messages`);
    await archived(juliet); // answered behind all that was to be delivered
    const delivered = juliet.received.filter(
      (element) => /^<message(?![^>]*result)/.test(element) && element.includes('</body>') && !element.includes('urn:xmpp:mam:2'),
    );
    const ids = delivered.map((element) => / id='(m\d+)'/.exec(element)?.[1] ?? '');
    this.compare(ids, exactly, 'delivered');
    this.compare(await archived(juliet), exactly, "in juliet's archive");
    this.compare(await archived(this.romeo), exactly, "in romeo's archive");
    juliet.drop();
  }

  private compare(found: readonly string[], exactly: boolean, where: string): void {
    const wanted = exactly ? found : found.filter((id) => this.kept.includes(id));
    assert.deepEqual(wanted, this.kept, where);
    assert.deepEqual(
      found.filter((id) => this.romeo.refused.has(id)),
      [],
      `refused, and yet ${where}`,
    );
    assert.equal(new Set(found).size, found.length, `twice ${where}`);
  }
}

/** Ids of the messages in a client's own archive, oldest first. XEP-0313 §4 */
async function archived(client: SmClient): Promise<string[]> {
  const ids: string[] = [];
  let after = '';
  for (let page = 0; ; page++) {
    const from = client.received.length;
    const set = `<set xmlns='http://jabber.org/protocol/rsm'><max>50</max>${after === '' ? '' : `<after>${after}</after>`}</set>`;
    const id = `page${page}-${from}`;
    client.stanza(id, `<iq type='set' id='${id}'><query xmlns='urn:xmpp:mam:2' queryid='${id}'>${set}</query></iq>`);
    await client.until(() => client.count(new RegExp(`^<iq[^>]* id='${id}'`), from) === 1, 'the archive');
    const elements = client.received.slice(from);
    for (const element of elements) {
      if (!element.includes(`queryid='${id}'`)) continue;
      const inner = /<forwarded[\s\S]*?<message[^>]* id='([^']+)'/.exec(element)?.[1];
      if (inner !== undefined) ids.push(inner);
    }
    const fin = elements.find((element) => element.includes(` id='${id}'`))!;
    assert.match(fin, /type='result'/, fin);
    const last = /<last>([^<]+)<\/last>/.exec(fin)?.[1];
    if (last === undefined || /complete='true'/.test(fin)) return ids;
    after = last;
  }
}

const skip = SmallDisk.unavailable();

test(
  'a full disk, again and again: each message is kept or refused, sessions resume before, during and after, and service returns',
  { skip },
  async () => {
    await onSmallDisk(async (server, disk) => {
      const letters = new Correspondence(server);
      const { romeo } = letters;
      await romeo.connect('orchard');
      assert.deepEqual(await letters.send(20), { kept: 20, refused: 0 });
      romeo.drop();
      await romeo.resume();
      for (const leave of [0, 40_000]) {
        disk.fill(leave);
        // What files have been given already takes some more.
        for (let batch = 0; (await letters.send(60)).refused === 0; batch++) assert.ok(batch < 200, `full but for ${leave} bytes`);
        romeo.drop();
        await romeo.resume();
        await letters.send(3); // kept where the journal’s last page has room for them, else refused
        disk.free();
        await letters.untilBack();
        assert.deepEqual(await letters.send(10), { kept: 10, refused: 0 });
      }
      romeo.drop();
      await romeo.resume();
      assert.deepEqual(await letters.send(5), { kept: 5, refused: 0 });
      await letters.check(server);
      assert.equal(server.log.filter(({ what }) => what === 'worker_down').length, 0);
    });
  },
);

test(
  'kill -9 on a full disk: the start is refused with what to do, or is one; with room again nothing acknowledged is missing',
  { skip },
  async () => {
    await onSmallDisk(async (server, disk) => {
      const letters = new Correspondence(server);
      await letters.romeo.connect('orchard');
      await letters.send(30);
      disk.fill(20_000);
      // On a disk without room for a row, what was kept last is not acknowledged either; the client says it again.
      letters.say(40);
      await letters.romeo.until(() => letters.romeo.refused.size > 0, 'a refusal');
      await server.kill();
      disk.fill();
      const started = await server.launch().then(
        () => undefined,
        (error: Error) => error.message,
      );
      if (started !== undefined) assert.match(started, /ended with 1 .*ERR_STORE_FULL: No space is left for the store at .* Free some/s);
      else await server.kill();
      disk.free();
      await server.launch();
      await letters.romeo.resume();
      assert.deepEqual(await letters.send(5), { kept: 5, refused: 0 });
      await letters.check(server);
    });
  },
);

test('a read-only disk at the start: refused with the reason, and all is there when it can be written again', { skip }, async () => {
  await onSmallDisk(async (server, disk) => {
    const letters = new Correspondence(server);
    await letters.romeo.connect('orchard');
    await letters.send(10);
    await server.kill();
    disk.remount('ro');
    await assert.rejects(server.launch(), /ended with 1 .*ERR_\w+: .*(read-only|cannot be written).*/is);
    disk.remount('rw');
    await server.launch();
    await letters.romeo.resume();
    await letters.check(server);
  });
});

/** No file of the server may grow beyond it. RLIMIT_FSIZE, the soft limit. */
function limitFiles(server: ServerProcess, bytes: number | 'unlimited'): void {
  const { status, stderr } = spawnSync('prlimit', ['--pid', String(server.pid), `--fsize=${bytes}:`], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

const canLimit = process.platform === 'linux' && spawnSync('prlimit', ['--version']).status === 0;

test(
  'no file may grow (RLIMIT_FSIZE): the process lives, messages are refused, and kept again when they may',
  { skip: canLimit ? false : 'no prlimit' },
  async () => {
    await using server = await withUsers();
    const letters = new Correspondence(server);
    await letters.romeo.connect('orchard');
    assert.deepEqual(await letters.send(10), { kept: 10, refused: 0 });
    limitFiles(server, 4_096);
    assert.deepEqual(await letters.send(20), { kept: 0, refused: 20 });
    letters.romeo.drop();
    await letters.romeo.resume();
    limitFiles(server, 'unlimited');
    await letters.untilBack();
    assert.deepEqual(await letters.send(10), { kept: 10, refused: 0 });
    await letters.check(server);
  },
);

test(
  'a disk that refuses writes for a moment: the session stays, each message is kept or refused, and nothing acknowledged is missing',
  { skip: canLimit ? false : 'no prlimit' },
  async () => {
    await using server = await withUsers();
    const letters = new Correspondence(server);
    await letters.romeo.connect('orchard');
    assert.deepEqual(await letters.send(10), { kept: 10, refused: 0 });
    limitFiles(server, 4_096);
    const sending = letters.send(20);
    await server.logged(({ what }) => what === 'actor_crashed'); // its commit has failed
    limitFiles(server, 'unlimited');
    const { kept, refused } = await sending;
    assert.equal(kept + refused, 20);
    assert.ok(refused > 0);
    await letters.untilBack();
    assert.deepEqual(await letters.send(10), { kept: 10, refused: 0 });
    assert.equal(letters.romeo.socketNumber, 1, 'on the same socket all the time');
    letters.romeo.drop();
    await letters.romeo.resume();
    await letters.check(server);
  },
);

/** A file system on a file, which goes read-only at once on an error, as a failing disk does. */
class FailingDisk implements Disposable {
  readonly path: string;
  private readonly image: string;
  private readonly device: string;

  constructor(path: string) {
    this.path = path;
    this.image = `${path}.img`;
    writeFileSync(this.image, Buffer.alloc(24 * 1024 * 1024));
    run('mkfs.ext4', ['-q', '-F', this.image]);
    this.mount();
    this.device = run('findmnt', ['-n', '-o', 'SOURCE', path]).trim().replace('/dev/', '');
  }

  /** Why not, for `skip`. */
  static unavailable(): string | false {
    const path = mkdtempSync(join(tmpdir(), 'rookery-failing-'));
    try {
      new FailingDisk(path)[Symbol.dispose]();
      return false;
    } catch (error) {
      return (error as Error).message;
    } finally {
      rmSync(path, { recursive: true, force: true });
      rmSync(`${path}.img`, { force: true });
    }
  }

  fail(): void {
    writeFileSync(`/sys/fs/ext4/${this.device}/trigger_fs_error`, '1');
  }

  /** Unmounted, checked, mounted. */
  mend(): void {
    run('umount', [this.path]);
    const { status } = spawnSync('fsck.ext4', ['-y', this.image]);
    assert.ok((status ?? 99) < 4, `fsck says ${status}`);
    this.mount();
  }

  [Symbol.dispose](): void {
    spawnSync('umount', ['-l', this.path]);
    rmSync(this.image, { force: true });
  }

  private mount(): void {
    run('mount', ['-o', 'loop,errors=remount-ro', this.image, this.path]);
  }
}

function run(program: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program}: ${error?.message ?? stderr}`);
  return stdout;
}

test(
  'a disk that fails and goes read-only under the server: messages are refused; mended and started again, nothing acknowledged is missing',
  {
    skip: FailingDisk.unavailable(),
    todo: 'a write that the device has reported as failed may be there after all: refused, and yet delivered',
  },
  async () => {
    // What such a disk was not made to keep it loses, like a power failure.
    await using server = await withUsers({ ROOKERY_STORE_SYNC: 'disk' });
    await server.stop();
    using disk = move(server, () => new FailingDisk(server.dataDir));
    await server.launch();
    const letters = new Correspondence(server);
    await letters.romeo.connect('orchard');
    assert.deepEqual(await letters.send(20), { kept: 20, refused: 0 });
    disk.fail();
    const { refused } = await letters.send(20);
    assert.equal(refused, 20);
    letters.romeo.drop();
    await letters.romeo.resume();
    assert.equal((await letters.send(3)).kept, 0);
    await server.kill();
    disk.mend();
    await server.launch();
    await letters.romeo.resume();
    assert.deepEqual(await letters.send(5), { kept: 5, refused: 0 });
    await letters.check(server);
    await server.kill();
  },
);
