/**
 * Design §1.1 against generated schedules: nothing that was acknowledged is lost, none of it comes twice to a client that
 * resumes, order holds per sender and recipient, whatever is cut, crashed, killed or full, and whenever.
 *
 * `ROOKERY_MODEL_RUNS` sets how many schedules of each kind are run (default 50), `ROOKERY_MODEL_SEED` the first seed. A
 * schedule that fails is made as short as it gets and printed.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ArchiveIds } from '../../src/log/archive-id.ts';
import { LOG, type LogEntry } from '../../src/log/entry.ts';
import { AWAKE, LOG_STATE, PENDING } from '../../src/log/segment.ts';
import { ENDED, SESSIONS, TAKEN } from '../../src/core/session-rows.ts';
import type { Table } from '../../src/store/store.ts';
import type { Client, ClientPlan, Life } from './client.ts';
import { describe, KINDS, withoutChance, World, type Action, type Kind, type Plan } from './world.ts';

const RUNS = Number(process.env['ROOKERY_MODEL_RUNS'] ?? 50);
const FIRST_SEED = Number(process.env['ROOKERY_MODEL_SEED'] ?? 1);
const MAX_SHRINKS = Number(process.env['ROOKERY_MODEL_SHRINKS'] ?? 150);

/** What a message may be that is written down: all but what nobody would miss. */
const DURABLE: ReadonlySet<Kind> = new Set<Kind>(['chat', 'chat_full', 'normal_full', 'self', 'burst']);

type Choose = (count: number) => number;

/** mulberry32 */
function chooser(seed: number): Choose {
  let state = seed >>> 0;
  return (count) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % count;
  };
}

interface Flavour {
  readonly name: string;
  readonly withUnmanaged: boolean;
  readonly without: readonly Kind[];
}

const CRASHES: readonly Kind[] = ['crash_account', 'crash_c2s'];
const DISK: readonly Kind[] = ['store_down', 'store_up'];
const ADMIN: readonly Kind[] = ['recreate'];

const FLAVOURS: readonly Flavour[] = [
  { name: 'networks that fail', withUnmanaged: false, without: [...CRASHES, ...DISK, 'kill', ...ADMIN] },
  { name: 'clients without stream management among the others', withUnmanaged: true, without: [...CRASHES, ...DISK, 'kill', ...ADMIN] },
  { name: 'actors that crash', withUnmanaged: false, without: [...DISK, 'kill', ...ADMIN] },
  { name: 'a server that is killed', withUnmanaged: false, without: [...CRASHES, ...DISK, ...ADMIN] },
  { name: 'a disk that is full', withUnmanaged: false, without: [...CRASHES, 'kill', ...ADMIN] },
  { name: 'accounts that are removed and come again', withUnmanaged: false, without: [...CRASHES, ...DISK, 'kill'] },
  { name: 'all of it at once', withUnmanaged: true, without: [] },
];

/** More of what moves messages. */
const WEIGHTS: Partial<Record<Kind, number>> = {
  chat: 6,
  chat_full: 4,
  burst: 3,
  resume: 5,
  cut: 3,
  advance: 3,
  available: 2,
  settle: 3,
  ack: 2,
};

function makePlan(choose: Choose, { withUnmanaged, without }: Flavour): Plan {
  const accounts = 2 + choose(3);
  const clients: ClientPlan[] = [];
  for (let account = 0; account < accounts; account++) {
    for (let left = 1 + choose(3); left > 0; left--) {
      const isManaged = !withUnmanaged || choose(3) > 0;
      clients.push({ account, isManaged, isLazy: choose(3) === 0, isResumable: choose(8) > 0 });
    }
  }
  const kinds = KINDS.filter((kind) => !without.includes(kind)).flatMap((kind) => Array.from({ length: WEIGHTS[kind] ?? 1 }, () => kind));
  const actions: Action[] = [];
  const count = 10 + choose(60);
  for (let n = 1; n <= count; n++) {
    actions.push({ n, kind: kinds[choose(kinds.length)]!, client: choose(12), peer: choose(12), x: choose(1_000), flow: choose(4) });
  }
  const limits = { offline: choose(3) === 0 ? 5 : 400, mailbox: choose(4) === 0 ? 16 : 1_000, cached: choose(2) === 0 ? 0 : 1_000 };
  return { limits, accounts, clients, actions };
}

async function judge(plan: Plan, seed: number): Promise<{ wrongs: string[]; log: readonly string[] }> {
  return withoutChance(seed, async () => {
    const world = new World(plan);
    try {
      await world.run();
      await check(world);
      await world.fallAsleep();
      await checkSleep(world);
    } catch (error) {
      world.wrongs.push(`thrown: ${error instanceof Error ? error.stack : String(error)}`);
    }
    return { wrongs: world.wrongs, log: world.log };
  });
}

async function check(world: World): Promise<void> {
  const { wrongs, store, plan } = world;
  const crashes = [...world.crashes, ...world.target.crashes].filter(
    (each) => !each.includes('a drill') && !each.includes('No space is left'),
  );
  for (const crash of crashes) wrongs.push(`an actor crashed: ${crash}`);
  const logs: NamedEntry[][] = [];
  for (let i = 0; i < plan.accounts; i++) {
    const ids = new ArchiveIds((await store.get(LOG_STATE, world.bareOf(i), []))?.key ?? '0'.repeat(22));
    logs.push((await store.list(LOG, world.bareOf(i))).map(({ value }) => ({ ...value, archiveId: ids.of(value) })));
  }

  checkMessages(world, logs);
  for (const client of world.clients) for (const [i, life] of client.lives.entries()) checkLife(world, client, i, life, logs);
  for (const { id, by, isAnswered, isExcused } of world.requests.values())
    if (!isAnswered && !isExcused) wrongs.push(`the request ${id} of ${by.name} was never answered`);

  for (let i = 0; i < plan.accounts; i++) await checkRows(world, i, logs[i]!);
}

/** With its id in the archive. */
type NamedEntry = LogEntry & { readonly archiveId: string };

function checkMessages(world: World, logs: readonly (readonly NamedEntry[])[]): void {
  const { wrongs, plan, refused, kills, accountCrashes } = world;
  const got = new Set(world.clients.flatMap(({ lives }) => lives.flatMap((life) => life.got.map(({ id }) => id))));
  const accountOf = (jid: string): number => Number(/^a(\d+)@/.exec(jid)![1]);
  for (const { id, by, life, to, kind, isAcked, isErrorReceived, isVoid, mayBeLost, mayBeRefused } of world.sent.values()) {
    if (!DURABLE.has(kind) || isVoid) continue;
    const isRefused = isErrorReceived || refused.has(id) || mayBeRefused;
    const [own, theirs] = [by.account, accountOf(to)];
    const out = logs[own]!.filter((entry) => entry.direction !== 'in' && entry.stanza.id === id).length;
    const into = logs[theirs]!.filter((entry) => entry.direction !== 'out' && entry.stanza.id === id).length;
    if (out > 1) wrongs.push(`${id} is in its sender's log ${out} times`);
    if (into > 1) wrongs.push(`${id} is in its recipient's log ${into} times`);
    // An error may come late to one whose session has ended, go down with the server or find a mailbox full: it is in no log.
    if (
      refused.has(id) &&
      plan.limits.mailbox > 16 &&
      isAcked &&
      !isErrorReceived &&
      !got.has(id) &&
      !life.hasEnded &&
      kills === 0 &&
      accountCrashes === 0
    )
      wrongs.push(`${id} was refused, and ${by.name} was never told`);
    if (!isAcked || isRefused) continue;
    if (out === 0) wrongs.push(`${id} was acknowledged and is not in its sender's log`);
    if (into === 0) wrongs.push(`${id} was acknowledged and is not in its recipient's log`);
    if (!got.has(id) && !mayBeLost) wrongs.push(`${id} from ${by.name} to ${to} was acknowledged and no client has got it`);
  }
}

function checkLife(
  world: World,
  { name: client, account, isManaged }: Client,
  nth: number,
  { got }: Life,
  logs: readonly (readonly NamedEntry[])[],
): void {
  const { wrongs } = world;
  const name = `${client}/${nth}`;
  const seen = new Map<string, number>();
  const last = new Map<unknown, { n: number; id: string }>();
  for (const { id, form, stanzaId, isDelayed } of got) {
    const sent = world.sent.get(id);
    if (sent === undefined || !DURABLE.has(sent.kind) || sent.isVoid) continue;
    const times = (seen.get(id) ?? 0) + 1;
    seen.set(id, times);
    // Who has none to resume may get again what a crash made the server forget it was given.
    if (times > 1 && (isManaged || world.accountCrashes + world.kills + world.failures === 0))
      wrongs.push(`${id} came to ${name} ${times} times${form === 'copy' ? ', as a copy' : ''}`);
    if (stanzaId !== undefined) {
      const entry = logs[account]!.find((each) => each.archiveId === stanzaId);
      if (entry?.stanza.id !== id)
        wrongs.push(`${id} came to ${name} as ${stanzaId}, which is ${entry?.stanza.id ?? 'nothing'} in the archive`);
    } else if (!logs[account]!.some((each) => each.stanza.id === id)) {
      wrongs.push(`${id} came to ${name} and is not in its log`);
    }
    // Per sending client and recipient. What was for another session before may be late: it says so. What was refused is in no log
    // of its recipient, so that it may be said again when a crash has made both sides forget.
    if ((sent.mayBeLate && isDelayed) || world.refused.has(id)) continue;
    const key = `${sent.by.name}>${sent.to.split('/')[0]}`;
    const before = last.get(key);
    if (before !== undefined && before.n > sent.n) wrongs.push(`${id} came to ${name} behind ${before.id}`);
    last.set(key, { n: Math.max(sent.n, before?.n ?? 0), id });
  }
}

async function checkRows(world: World, account: number, log: readonly LogEntry[]): Promise<void> {
  const { wrongs, store } = world;
  const bare = world.bareOf(account);
  for (const [i, { position }] of log.entries())
    if (position !== i + 1) wrongs.push(`the log of ${bare} has ${position} as its ${i + 1}th entry`);
  const last = new Map<string, number>();
  for (const { direction, stanza } of log) {
    const sent = world.sent.get(stanza.id ?? '');
    if (sent === undefined || sent.isVoid || world.refused.has(sent.id)) continue;
    const key = `${direction} ${sent.by.name}`;
    if ((last.get(key) ?? 0) > sent.n && (direction !== 'in' || !sent.mayBeLate))
      wrongs.push(`${sent.id} is out of order in the log of ${bare}`);
    last.set(key, sent.n);
  }
  const pending = await store.list(PENDING, bare);
  if (pending.length > 0) wrongs.push(`${pending.length} messages still wait for ${bare}`);
  const managed = world.clients.filter((client) => client.account === account && client.isManaged && client.isOnline).length;
  const sessions = await store.list(SESSIONS, bare);
  if (sessions.length !== managed) wrongs.push(`${bare} has ${sessions.length} rows of sessions, ${managed} sessions`);
  const taken = await store.list(TAKEN, bare);
  // Sessions without stream management have no rows, but may have counts: those of segments that were closed.
  const rowless = world.clients.filter((client) => client.account === account && !client.isManaged && client.isOnline).length;
  if (taken.filter(({ key }) => !sessions.some((each) => each.key[0] === key[0])).length > rowless)
    wrongs.push(`${bare} has a count of a session that is over`);
  const ended = await store.list(ENDED, bare);
  if (ended.length > 8) wrongs.push(`${bare} remembers ${ended.length} sessions that are over`);
  if (managed > 0 && (await store.get(AWAKE, bare, [])) === undefined) wrongs.push(`${bare} has sessions and would not be woken`);
}

/** Nobody is there, nothing is under way, nothing is owed: no rows but those of the log. */
async function checkSleep(world: World): Promise<void> {
  const { wrongs, store, plan, target } = world;
  for (let i = 0; i < plan.accounts; i++) {
    const bare = world.bareOf(i);
    for (const table of [AWAKE, PENDING, SESSIONS, TAKEN]) {
      const rows = await store.list<unknown>(table as Table<unknown>, bare);
      if (rows.length > 0) wrongs.push(`${bare} has gone, but not its ${rows.length} rows of ${table.name}`);
    }
  }
  for (const kind of ['account', 'c2s']) {
    const left = target.kernel.list({ kind });
    if (left.length > 0) wrongs.push(`${left.length} actors of kind ${kind} are left`);
  }
}

/** The kind of a wrong, so that shrinking stays with it. */
const kindOf = (wrong: string): string => wrong.replace(/\b(m|q|c|a)?\d+(\.\d+)?(-\S+)?/g, '#').slice(0, 80);

/** Takes actions out as long as it still goes wrong in the same way. */
async function shrink(plan: Plan, seed: number, kind: string): Promise<Plan> {
  let best = plan;
  let budget = MAX_SHRINKS;
  for (let size = Math.ceil(best.actions.length / 2); size >= 1 && budget > 0;) {
    let hasShrunk = false;
    for (let at = 0; at < best.actions.length && budget > 0;) {
      const actions = [...best.actions.slice(0, at), ...best.actions.slice(at + size)];
      budget--;
      const { wrongs } = await judge({ ...best, actions }, seed);
      if (wrongs.some((wrong) => kindOf(wrong) === kind)) {
        best = { ...best, actions };
        hasShrunk = true;
      } else {
        at += size;
      }
    }
    if (size === 1 && !hasShrunk) break;
    size = size === 1 ? 1 : Math.ceil(size / 2);
  }
  return best;
}

async function report(plan: Plan, seed: number, wrongs: readonly string[]): Promise<string> {
  const short = await shrink(plan, seed, kindOf(wrongs[0]!));
  const { wrongs: left, log } = await judge(short, seed);
  const clients = short.clients.map(
    ({ account, isManaged, isLazy, isResumable }, i) =>
      `c${i} of a${account}${isManaged ? '' : ' without stream management'}${isLazy ? ', lazy' : ''}${isResumable ? '' : ', not resumable'}`,
  );
  const told = process.env['ROOKERY_MODEL_LOG'] === undefined ? [] : log;
  return [
    `seed ${seed}, ${JSON.stringify(short.limits)}`,
    ...clients,
    ...short.actions.map(describe),
    ...left,
    `(at first: ${wrongs.join('; ').slice(0, 600)})`,
    ...told,
  ].join('\n');
}

for (const [index, flavour] of FLAVOURS.entries()) {
  test(`design §1.1: nothing is lost, doubled or out of order over ${flavour.name}`, async () => {
    const reports: string[] = [];
    const most = Number(process.env['ROOKERY_MODEL_FAILURES'] ?? 1);
    for (let run = 0; run < RUNS && reports.length < most; run++) {
      const seed = FIRST_SEED + index * 1_000_000 + run;
      const plan = makePlan(chooser(seed), flavour);
      const { wrongs } = await judge(plan, seed);
      if (wrongs.length > 0) reports.push(await report(plan, seed, wrongs));
    }
    assert.equal(reports.length, 0, `\n${reports.join('\n\n')}`);
  });
}
