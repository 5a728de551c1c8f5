/**
 * A drill: pairs of clients send each other numbered messages while things break around them; at the end it is compared what was
 * acknowledged and what arrived.
 *
 *   faults ──► server, clients      load ──► clients ──► flows      rest: all connected, all acknowledged
 *   archives read, once more after a restart ──► checker ──► report
 */
import { setTimeout as wait } from 'node:timers/promises';
import { inParallel } from '../load/client.ts';
import { differenceOf, readArchive } from './archive.ts';
import { Breaker } from './breaker.ts';
import { checkFlow, type ArchivedMessage, type FlowFindings, type SentMessage } from './checker.ts';
import { DrillClient, type ArchiveEntry, type Return } from './client.ts';
import { planFaults, type FaultCounts } from './faults.ts';
import { Flow, type Participant } from './participant.ts';
import { Random } from './random.ts';
import { makeReport, type DrillReport, type Episode } from './report.ts';
import type { DrillServer } from './servers.ts';

export interface DrillOptions {
  readonly pairs: number;
  readonly seconds: number;
  readonly seed: number;
  readonly faults: FaultCounts;
  /** Messages per second, all clients together, where the window lets them. */
  readonly rate?: number;
  /** Unacknowledged messages of one client, at most. */
  readonly window?: number;
  /** What messages are addressed to. */
  readonly addressing?: 'bare' | 'full' | 'mix';
  /** Kinds of actors that are made to throw. */
  readonly actorKinds?: readonly string[];
  /** Clients that stay away over each kill. */
  readonly awayOverKill?: number;
  /** Whether archives are read. */
  readonly hasArchive?: boolean;
  /** Archives read once more after another restart. */
  readonly rereads?: number;
  /** Time to come to rest; more is a failure. */
  readonly restMs?: number;
  /** Names of accounts begin with it. */
  readonly prefix?: string;
  readonly onProgress?: (line: string) => void;
}

const PASSWORD = 'a password for drills';
const LOAD_TICK_MS = 20;
const MAX_BURST = 6;
/** Bursts with a ping or presence behind them. */
const OTHER_SHARE = 0.2;
/** What a client may catch up with after a time without room in its window. */
const MAX_CREDIT = 16;
/** Nothing has arrived for so long: what is missing is lost. */
const QUIET_MS = 5_000;
const REST_POLL_MS = 50;
const ARCHIVE_MS = 120_000;
const ARCHIVE_WIDTH = 6;
const MAX_SAMPLES = 20;
const MAX_TRACES = 6;
const MAX_TRACE_EVENTS = 200;

/** Runs to its end, which the options bound. Rejects with NoStreamManagement, or where the server cannot be started again. */
export async function runDrill(server: DrillServer, options: DrillOptions): Promise<DrillReport> {
  const drill = new Drill(server, options);
  try {
    return await drill.run();
  } finally {
    await drill.stop();
  }
}

class Drill {
  private readonly server: DrillServer;
  private readonly options: Required<Omit<DrillOptions, 'onProgress'>>;
  private readonly progress: (line: string) => void;
  /** Chance of faults and of load are two, or how busy the machine is would decide what breaks. */
  private readonly random: Random;
  private readonly loadRandom: Random;
  private readonly participants: Participant[] = [];
  private readonly breaker: Breaker;
  private readonly episodes: Episode[] = [];
  private readonly violations: string[] = [];
  private readonly refusals = new Map<string, number>();
  private startedAtMs = 0;
  private lastArrivalMs = 0;
  private early = { doubled: 0, out_of_order: 0, unknown: 0 };

  constructor(server: DrillServer, options: DrillOptions) {
    const { onProgress, ...given } = options;
    this.server = server;
    this.options = {
      rate: 500,
      window: 32,
      addressing: 'mix',
      actorKinds: ['c2s', 'account'],
      awayOverKill: Math.max(1, Math.floor(options.pairs / 5)),
      hasArchive: true,
      rereads: 0,
      restMs: 60_000,
      prefix: `drill${options.seed}x`,
      ...given,
    };
    this.progress = onProgress ?? (() => undefined);
    this.random = new Random(options.seed);
    this.loadRandom = new Random(options.seed + 1);
    const { actorKinds, awayOverKill, prefix } = this.options;
    const { participants, random } = this;
    const onProblem = (text: string): void => this.violation(text);
    this.breaker = new Breaker({ server, participants, random, actorKinds, awayOverKill, prefix, onProblem });
  }

  async run(): Promise<DrillReport> {
    await this.prepare();
    const { seconds, faults, restMs } = this.options;
    this.startedAtMs = performance.now();
    const load = setInterval(() => this.load(), LOAD_TICK_MS);
    const ticker = setInterval(() => this.progress(this.progressLine()), 1_000);
    try {
      await this.breaker.run(planFaults(faults, seconds * 1_000, this.random));
      const leftMs = this.startedAtMs + seconds * 1_000 - performance.now();
      if (leftMs > 0) await wait(leftMs);
      clearInterval(load);
      const isAtRest = await this.rest(restMs);
      if (isAtRest && this.options.hasArchive) await this.readArchives();
      return this.report(isAtRest);
    } finally {
      clearInterval(load);
      clearInterval(ticker);
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.participants.map(({ client }) => client.stop()));
  }

  private async prepare(): Promise<void> {
    const { pairs, prefix } = this.options;
    const locals = Array.from({ length: pairs }, (_, pair) => [`${prefix}${pair}a`, `${prefix}${pair}b`]).flat();
    await this.server.createAccounts(locals, PASSWORD);
    for (let pair = 0; pair < pairs; pair++) {
      const flows = { a: new Flow(`${pair}:a`), b: new Flow(`${pair}:b`) };
      for (const [side, other] of [
        ['a', 'b'],
        ['b', 'a'],
      ] as const)
        this.participants.push(
          this.makeParticipant(`${prefix}${pair}${side}`, `${prefix}${pair}${other}`, flows[side], flows[other], pair % 2 === 0),
        );
    }
    await inParallel(this.participants, 16, ({ client }) => client.start());
  }

  private makeParticipant(local: string, peer: string, outgoing: Flow, incoming: Flow, acknowledgesUnasked: boolean): Participant {
    const { target } = this.server;
    const client: DrillClient = new DrillClient({
      target,
      credentials: { local, password: PASSWORD, keys: new Map() },
      resource: 'drill',
      acknowledgesUnasked,
      onMessage: (body, from, archiveId) => this.arrived(participant, body, from, archiveId),
      onReturned: (id, body) => this.returned(participant, id, body),
      onLost: () => this.lost(participant),
      onBack: (how) => this.back(participant, how),
      onViolation: (text) => this.violation(`${local}: ${text}`),
    });
    const bare = `${peer}@${target.domain}`;
    const participant: Participant = {
      client,
      outgoing,
      incoming,
      peer: { bare, full: `${bare}/drill` },
      cause: undefined,
      lostAtMs: undefined,
      isAway: false,
      hasStarted: false,
      credit: 0,
    };
    return participant;
  }

  private load(): void {
    const { rate, window } = this.options;
    const each = (rate * LOAD_TICK_MS) / 1_000 / this.participants.length;
    for (const participant of this.participants) {
      const { client } = participant;
      participant.credit = Math.min(participant.credit + each, MAX_CREDIT);
      const room = window - client.unacknowledged;
      const burst = Math.min(this.loadRandom.integer(1, MAX_BURST), room);
      if (burst <= 0 || burst > participant.credit) continue;
      participant.credit -= burst;
      for (let i = 0; i < burst; i++) this.sendOne(participant);
      this.sendOther(client);
      client.requestAck();
    }
  }

  /** Stanzas that are no messages count for `h`, too, and no log has them. */
  private sendOther(client: DrillClient): void {
    const chance = this.loadRandom.next();
    if (chance < OTHER_SHARE / 2) client.sendPing();
    else if (chance < OTHER_SHARE) client.sendPresence(this.loadRandom.pick(['away', 'dnd', undefined]));
  }

  private sendOne({ client, outgoing, peer }: Participant): void {
    const { addressing } = this.options;
    const isBare = addressing === 'bare' || (addressing === 'mix' && this.loadRandom.next() < 0.5);
    const n = outgoing.sent.length;
    const message: SentMessage = { isAcknowledged: false, isResent: false, isReturned: false };
    outgoing.sent.push(message);
    const text = `${outgoing.name}:${n}`;
    client.sendMessage(
      `<message to='${isBare ? peer.bare : peer.full}' type='chat' id='m:${text}'><body>${text}</body></message>`,
      message,
    );
  }

  private arrived({ client, incoming, peer }: Participant, body: string, from: string, archiveId: string | undefined): void {
    this.lastArrivalMs = performance.now();
    const n = incoming.numberIn(body);
    if (n === undefined || (from !== peer.full && from !== peer.bare)) {
      this.early.unknown++;
      this.violation(`${client.full}: a message '${body}' from ${from}`);
      return;
    }
    incoming.received.push({ n, failures: client.failures, archiveId });
    const wrong = incoming.live.add(n, client.failures);
    if (wrong === undefined) return;
    this.early[wrong]++;
    if (this.early[wrong] <= MAX_SAMPLES) client.note(`${wrong}: ${body}`);
  }

  private returned({ outgoing }: Participant, id: string, body: string): void {
    const n = outgoing.numberIn(id.startsWith('m:') ? id.slice(2) : '');
    const message = n === undefined ? undefined : outgoing.sent[n];
    if (message === undefined) this.violation(`an error for the message '${id}', which was never sent: ${body}`);
    else message.isReturned = true;
  }

  private lost(participant: Participant): void {
    participant.lostAtMs ??= performance.now();
    if (participant.cause !== undefined) return;
    participant.cause = this.breaker.blame;
    const { client } = participant;
    if (participant.cause === 'unexplained') this.violation(`${client.full} lost its connection for no reason: ${client.events.at(-1)}`);
  }

  private back(participant: Participant, how: Return): void {
    const { cause, lostAtMs, client } = participant;
    if (!participant.hasStarted) {
      participant.hasStarted = true;
      return;
    }
    if (how === 'refused') {
      const reason = client.events.findLast((event) => event.includes(' refused: '))?.replace(/^.* refused: /, '') ?? '';
      this.refusals.set(reason, (this.refusals.get(reason) ?? 0) + 1);
    }
    this.episodes.push({ cause: cause ?? 'unexplained', how, ms: performance.now() - (lostAtMs ?? performance.now()) });
    participant.cause = undefined;
    participant.lostAtMs = undefined;
    participant.isAway = false;
  }

  private violation(text: string): void {
    this.violations.push(text);
  }

  /** Resolves when every client is connected and has everything acknowledged, and nothing more arrives. False: not in time. */
  private async rest(restMs: number): Promise<boolean> {
    for (const { client } of this.participants) client.comeBack();
    this.lastArrivalMs = performance.now();
    const untilMs = performance.now() + restMs;
    while (performance.now() < untilMs) {
      const isSettled = this.participants.every(({ client }) => client.isOnline && client.unacknowledged === 0);
      if (isSettled) {
        const isComplete = this.participants.every(({ outgoing }) => outgoing.live.findings().lost.length === 0);
        if (performance.now() - this.lastArrivalMs > (isComplete ? REST_POLL_MS * 4 : QUIET_MS)) return true;
      }
      await wait(REST_POLL_MS);
    }
    const offline = this.participants.filter(({ client }) => !client.isOnline);
    const open = this.participants.reduce((sum, { client }) => sum + client.unacknowledged, 0);
    this.violation(
      `no rest within ${restMs / 1_000} s: ${offline.length} clients without a connection (${offline.map(({ client }) => client.full).join(', ')}), ${open} stanzas not acknowledged`,
    );
    return false;
  }

  private async readArchives(): Promise<void> {
    const archives = new Map<Participant, ArchiveEntry[]>();
    await inParallel(this.participants, ARCHIVE_WIDTH, async (participant) => {
      const entries = await this.archiveOf(participant);
      if (entries !== undefined) archives.set(participant, entries);
    });
    for (const [{ client, outgoing, incoming }, entries] of archives) {
      outgoing.senderArchive = messagesOf(outgoing, entries);
      incoming.recipientArchive = messagesOf(incoming, entries);
      const ids = new Set(entries.map(({ id }) => id));
      if (ids.size < entries.length) this.violation(`${client.bare}: ${entries.length - ids.size} ids of the archive are there twice`);
    }
    const { rereads, restMs } = this.options;
    if (rereads === 0 || archives.size === 0) return;
    await this.breaker.restart();
    if (!(await this.rest(restMs))) return;
    for (const [participant, entries] of this.random.sample([...archives], rereads)) {
      const again = (await this.archiveOf(participant)) ?? [];
      const difference = differenceOf(entries, again);
      if (difference !== undefined) this.violation(`${participant.client.bare}: after a restart the archive is another: ${difference}`);
    }
  }

  private async archiveOf({ client }: Participant): Promise<ArchiveEntry[] | undefined> {
    const tooLate = wait(ARCHIVE_MS, 'too late' as const, { ref: false });
    const entries = await Promise.race([readArchive(client), tooLate]);
    if (entries !== 'too late') return entries;
    this.violation(`${client.bare}: its archive could not be read within ${ARCHIVE_MS / 1_000} s`);
    return undefined;
  }

  private report(isAtRest: boolean): DrillReport {
    const { seed, pairs, seconds, faults } = this.options;
    for (const { cause, lostAtMs, client } of this.participants)
      if (!client.isOnline) this.episodes.push({ cause: cause ?? 'unexplained', how: 'missing', ms: performance.now() - (lostAtMs ?? 0) });
    const findings = this.participants.map(({ outgoing }) => checkFlow(outgoing));
    const suspects = this.suspects(findings);
    return makeReport({
      target: this.server.name,
      seed,
      pairs,
      seconds,
      isAtRest,
      injected: this.breaker.injected,
      episodes: this.episodes,
      findings,
      violations: this.violations,
      refusals: this.refusals,
      unanswered: this.participants.reduce((sum, { client }) => sum + client.unanswered, 0),
      answeredTwice: this.participants.reduce((sum, { client }) => sum + client.answeredTwice, 0),
      mayReturn: (faults.actor_crash ?? 0) > 0,
      traces: suspects.slice(0, MAX_TRACES).map(({ client }) => ({ who: client.full, events: client.events.slice(-MAX_TRACE_EVENTS) })),
    });
  }

  /** Both ends of flows with something wrong, what is rarest first. */
  private suspects(findings: readonly FlowFindings[]): Participant[] {
    const names = [
      ...findings.filter(({ live }) => live.lost.length > 0),
      ...findings.filter(({ live }) => live.doubled.length > 0),
      ...findings.filter(({ live }) => live.outOfOrder.length > 0),
    ].map(({ name }) => name);
    return [...new Set(names)].flatMap((name) =>
      this.participants.filter(({ outgoing, incoming }) => outgoing.name === name || incoming.name === name),
    );
  }

  private progressLine(): string {
    let sent = 0;
    let received = 0;
    for (const { outgoing, incoming } of this.participants) {
      sent += outgoing.sent.length;
      received += incoming.live.first.size;
    }
    const online = this.participants.filter(({ client }) => client.isOnline).length;
    const faults = [...this.breaker.injected].map(([cause, count]) => `${cause} ${count}`).join(', ');
    const { doubled, out_of_order } = this.early;
    return `${((performance.now() - this.startedAtMs) / 1_000).toFixed(0)} s: sent ${sent}, received ${received}, doubled ${doubled}, out of order ${out_of_order}, connected ${online} of ${this.participants.length}; ${faults}`;
  }
}

function messagesOf(flow: Flow, entries: readonly ArchiveEntry[]): ArchivedMessage[] {
  const messages: ArchivedMessage[] = [];
  for (const { id, body } of entries) {
    const n = flow.numberIn(body);
    if (n !== undefined) messages.push({ n, archiveId: id });
  }
  return messages;
}
