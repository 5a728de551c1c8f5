/** Breaks what the plan says, when it says so: clients at once, the server one fault after the other. */
import { setTimeout as wait } from 'node:timers/promises';
import type { FaultKind, PlannedFault } from './faults.ts';
import type { Participant } from './participant.ts';
import type { Random } from './random.ts';
import type { Cause } from './report.ts';
import type { DrillServer } from './servers.ts';

/** Behind such a fault of the server, an unexplained loss of a connection is its doing. */
const BLAME_MS = 5_000;
/** Clients that stay away over a kill leave at most this long before it. */
const MAX_LEAD_MS = 2_000;
const POLL_MS = 100;
/** A fault that cannot be brought about for so long is left out, and told. */
const PATIENCE_MS = 20_000;
/** Of actors made to throw, how many are certainly those of the drill's own accounts and sessions. */
const OWN_SHARE = 0.9;

export interface BreakerOptions {
  readonly server: DrillServer;
  readonly participants: readonly Participant[];
  readonly random: Random;
  readonly actorKinds: readonly string[];
  readonly awayOverKill: number;
  /** With what the descriptions of the drill's own actors begin. */
  readonly prefix: string;
  readonly onProblem: (text: string) => void;
}

export class Breaker {
  /** By kind, how often so far. */
  readonly injected = new Map<Cause, number>();
  private readonly options: BreakerOptions;
  private serial: Promise<void> = Promise.resolve();
  private latest: { readonly cause: Cause; readonly atMs: number } | undefined;
  private failure: Error | undefined;

  constructor(options: BreakerOptions) {
    this.options = options;
  }

  /** Why a connection may have been lost that nobody cut. */
  get blame(): Cause {
    const { latest } = this;
    return latest !== undefined && performance.now() - latest.atMs < BLAME_MS ? latest.cause : 'unexplained';
  }

  /** Resolves when all of them have happened; rejects where the server cannot be started again. */
  async run(faults: readonly PlannedFault[]): Promise<void> {
    const startedAtMs = performance.now();
    const pending: Promise<void>[] = [];
    for (const { atMs, kind } of faults) {
      const leftMs = startedAtMs + atMs - performance.now();
      if (leftMs > 0) await wait(leftMs);
      if (this.failure !== undefined) break;
      pending.push(this.inject(kind));
    }
    await Promise.all(pending);
    if (this.failure !== undefined) throw this.failure;
  }

  /** One more SIGKILL and start, out of turn. */
  restart(): Promise<void> {
    return this.inTurn(() => this.kill('kill'));
  }

  private async inject(kind: FaultKind): Promise<void> {
    try {
      if (kind === 'cut' || kind === 'half_open' || kind === 'away') await this.injectIntoClient(kind);
      else await this.inTurn(() => this.injectIntoServer(kind));
    } catch (error) {
      this.failure ??= error as Error;
    }
  }

  private async injectIntoClient(kind: 'cut' | 'half_open' | 'away'): Promise<void> {
    const { random } = this.options;
    const untilMs = performance.now() + PATIENCE_MS;
    let victim: Participant | undefined;
    while ((victim = random.pick(this.online())) === undefined) {
      if (performance.now() > untilMs) {
        this.options.onProblem(`no client had a connection for ${PATIENCE_MS / 1_000} s: one ${kind} left out`);
        return;
      }
      await wait(POLL_MS);
    }
    this.count(kind);
    victim.cause = kind;
    if (kind === 'cut') victim.client.cut(kind);
    else if (kind === 'half_open') victim.client.goHalfOpen(kind);
    else this.sendAway(victim, random.between(300, 3_000));
  }

  private sendAway(victim: Participant, ms: number): void {
    victim.isAway = true;
    victim.client.goAway(ms, 'away');
  }

  private injectIntoServer(kind: FaultKind): Promise<void> {
    if (kind === 'kill' || kind === 'start_kill') return this.kill(kind);
    return this.patiently(kind, kind === 'worker_kill' ? () => this.killWorker() : this.crashActor());
  }

  private async kill(kind: 'kill' | 'start_kill'): Promise<void> {
    const { random, server, awayOverKill } = this.options;
    // Each leaves a while before, so that messages to them are taken by a server that has nobody to give them to.
    const away: Participant[] = [];
    const leave = async (): Promise<void> => {
      await wait(random.between(0, MAX_LEAD_MS));
      const victim = random.pick(this.online());
      if (victim === undefined) return;
      victim.cause = 'away';
      this.sendAway(victim, Infinity);
      away.push(victim);
    };
    await Promise.all(Array.from({ length: awayOverKill }, leave));
    await wait(random.between(0, MAX_LEAD_MS / 4));
    this.count(kind);
    await this.killNow(kind);
    await wait(random.between(0, 300));
    if (kind === 'start_kill') {
      server.spawn();
      await wait(random.between(20, 1_200));
      await this.killNow(kind);
    }
    await server.start();
    for (const { client } of away) setTimeout(() => client.comeBack(), random.between(0, 1_500));
  }

  private async killNow(kind: 'kill' | 'start_kill'): Promise<void> {
    for (const participant of this.options.participants) {
      participant.cause = participant.isAway ? 'away_over_kill' : kind;
      participant.client.note(`fault: ${kind}`);
    }
    this.accuse(kind); // also of the loss of those who are just coming back
    await this.options.server.kill();
    this.accuse(kind);
  }

  private async killWorker(): Promise<void> {
    this.accuse('worker_kill');
    const { worker } = await this.options.server.killWorker();
    for (const { client } of this.options.participants) client.note(`fault: worker ${worker} ends`);
  }

  private crashActor(): () => Promise<void> {
    const { server, random, actorKinds, prefix, participants } = this.options;
    const kind = random.pick(actorKinds)!;
    const moment = random.pick(['now', 'next_message'] as const)!;
    // Now and then it may also be that of a connection on which nobody has logged in.
    const whose = random.next() < OWN_SHARE ? { whose: prefix } : {};
    return async () => {
      this.accuse('actor_crash');
      const crashed = await server.crashActors({ kind, count: 1, moment, ...whose });
      if (crashed.length === 0) throw new Error(`there is no actor of the kind ${kind}`);
      for (const { what, worker } of crashed)
        for (const { client } of participants)
          if (what.startsWith(client.bare)) client.note(`fault: its ${kind} actor on worker ${worker} throws, ${moment}`);
    };
  }

  /** A server that is just being started again has no time for commands. */
  private async patiently(kind: FaultKind, work: () => Promise<void>): Promise<void> {
    const untilMs = performance.now() + PATIENCE_MS;
    for (;;) {
      try {
        await work();
        this.count(kind);
        return;
      } catch (error) {
        if (performance.now() > untilMs) {
          this.options.onProblem(`one ${kind} left out: ${(error as Error).message}`);
          return;
        }
        await wait(POLL_MS);
      }
    }
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    this.serial = this.serial.then(work);
    return this.serial;
  }

  private online(): Participant[] {
    return this.options.participants.filter(({ client, cause }) => client.isOnline && cause === undefined);
  }

  private accuse(cause: Cause): void {
    this.latest = { cause, atMs: performance.now() };
  }

  private count(cause: Cause): void {
    this.injected.set(cause, (this.injected.get(cause) ?? 0) + 1);
  }
}
