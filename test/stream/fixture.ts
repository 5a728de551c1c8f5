/** A link between a memory pair and an owner that writes down what it is told, on a clock that stands still. */
import { ManualClock } from '../../src/kernel/clock.ts';
import { memoryPair, type MemoryClient, type MemoryPairOptions } from '../../src/net/memory-pair.ts';
import { Link, LinkShare, type LinkEvent, type LinkOwner } from '../../src/stream/link.ts';
import type { OutboundLimits } from '../../src/stream/outbound.ts';
import type { ShaperRates } from '../../src/stream/shaper.ts';
import { LIMITS_OF_CLIENT } from '../../src/xml/limits.ts';
import type { FramerLimits } from '../../src/xml/frame.ts';

export const HEADER = `<stream:stream to='capulet.lit' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>`;

export const OUTBOUND: OutboundLimits = { softBytes: 1_000, graceMs: 10_000, hardBytes: 8_000, totalBytes: 80_000 };

const STEP_MS = 50;

export interface Side {
  readonly link: Link;
  readonly client: MemoryClient;
  readonly events: LinkEvent[];
  /** Names of the elements that came so far. */
  readonly names: () => string[];
  /** How many events of that kind came so far. */
  readonly count: (kind: LinkEvent['kind']) => number;
}

export interface JoinOptions {
  readonly rates?: ShaperRates;
  readonly limits?: Partial<FramerLimits>;
  readonly pair?: MemoryPairOptions;
  /** Frames asked for at first. Default: without end. */
  readonly demand?: number;
}

/** One worker's links. */
export class Links {
  readonly clock = new ManualClock(1_000_000);
  readonly share: LinkShare;

  constructor(outbound: OutboundLimits = OUTBOUND) {
    this.share = new LinkShare(outbound, this.clock);
  }

  /** A connection whose stream header has been exchanged. */
  join({ rates, limits, pair, demand = Infinity }: JoinOptions = {}): Side {
    const { server, client } = memoryPair(pair);
    const link = new Link({
      transport: server,
      limits: { ...LIMITS_OF_CLIENT, ...limits },
      share: this.share,
      now: () => this.clock.now(),
    });
    const events: LinkEvent[] = [];
    const owner: LinkOwner = { deliver: (event) => events.push(event) > 0, whenRoom: () => undefined };
    link.attach(owner);
    link.request(1);
    client.write(HEADER);
    events.length = 0;
    link.shape(rates);
    link.request(demand);
    return {
      link,
      client,
      events,
      names: () => events.flatMap((event) => (event.kind === 'element' ? [event.name] : [])),
      count: (kind) => events.filter((event) => event.kind === kind).length,
    };
  }

  /** Lets time pass; what follows from it arrives at those sides as it does. */
  advance(ms: number, ...sides: readonly Side[]): void {
    for (let left = ms; left > 0; left -= STEP_MS) {
      this.clock.advance(sides.length === 0 ? ms : Math.min(STEP_MS, left));
      for (const { client } of sides) client.settle();
      if (sides.length === 0) return;
    }
  }
}
