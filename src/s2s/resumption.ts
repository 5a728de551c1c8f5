/** Stream management on a stream that another server has begun: how it is switched on and resumed. XEP-0198 §3, §5 */
import type { KernelEvent } from '../kernel/actor.ts';
import { attributeOf } from '../stream/header.ts';
import { NS_SM, parseBoolean, parseCount } from '../stream/stream-management.ts';
import { el } from '../xml/element.ts';
import type { Frame } from '../xml/frame.ts';
import { escapeAttr, serialize } from '../xml/serialize.ts';
import { NS } from '../xmpp/namespaces.ts';
import type { Condition } from '../xmpp/stanza-error.ts';
import type { HandOver, TakeOver } from './environment.ts';
import { makeToken, type Incoming, type IncomingState } from './incoming.ts';
import { Intake } from './intake.ts';
import { Management } from './stream.ts';

/** How long a stream waits for accounts to be done with what came over it, before it tells its successor how far it came. */
const HAND_OVER_MS = 5_000;
const TAKE_OVER_TIMEOUT_MS = 15_000;

export function enable(c: Incoming, frame: Frame): IncomingState {
  const { stream, environment, turn } = c;
  const isResumable = parseBoolean(attributeOf(frame, 'resume'));
  if (stream.sm !== undefined || isResumable === undefined)
    return failed(c, stream.sm === undefined ? 'bad-request' : 'unexpected-request');
  const { resumeMs } = environment.config.s2s;
  const token = isResumable && resumeMs > 0 && !stream.isBidi ? makeToken() : undefined;
  // What went the other way before is not counted: it has been written.
  c.settleBidi(c.bidi.length);
  if (token !== undefined) turn.sendTo('s2s_token', token, { kind: 'hold_token', stream: turn.self } as never);
  stream.sm = new Management(token, stream.intake.count);
  const attrs = token === undefined ? {} : { id: token, resume: 'true', max: String(Math.ceil(resumeMs / 1_000)) };
  stream.link.write(serialize(el('enabled', NS_SM, attrs), NS.server));
  return 'established';
}

function failed(c: Incoming, condition: Condition): IncomingState {
  c.stream.link.write(serialize(el('failed', NS_SM, {}, el(condition, NS.stanzaErrors)), NS.server)); // §6
  return 'established';
}

/** §5. Who asks has shown who it is, and only what was its own is given to it. */
export function resume(c: Incoming, frame: Frame): IncomingState {
  const { stream, turn, remote, local } = c;
  const token = attributeOf(frame, 'previd');
  if (token === undefined || token.length > 64 || parseCount(attributeOf(frame, 'h')) === undefined) return failed(c, 'bad-request');
  if (stream.sm !== undefined || stream.isBidi || c.previd !== undefined || remote === undefined || local === undefined)
    return failed(c, 'unexpected-request');
  c.previd = token;
  turn.askTo('take_over', 's2s_token', token, TAKE_OVER_TIMEOUT_MS, (replyTo): TakeOver => ({
    kind: 'take_over',
    replyTo,
    token,
    local,
    remote,
  }));
  return 'established';
}

export function resumeAnswered(c: Incoming, event: Extract<KernelEvent, { kind: 'reply' }>): IncomingState {
  const { stream, turn, previd } = c;
  if (event.name !== 'take_over' || previd === undefined) return 'established';
  c.previd = undefined;
  const answer = event.ok ? (event.value as HandOver | undefined) : undefined;
  if (answer === undefined || stream.intake.count > 0) return failed(c, 'item-not-found');
  stream.intake = new Intake(answer.taken);
  stream.sm = new Management(previd, 0);
  stream.sm.told = answer.taken;
  c.environment.counters.resumed++;
  turn.sendTo('s2s_token', previd, { kind: 'hold_token', stream: turn.self } as never);
  stream.link.write(`<resumed xmlns='${NS_SM}' previd='${escapeAttr(previd)}' h='${stream.handled}'/>`);
  return 'established';
}

/** The connection is lost. */
export function detach(c: Incoming): 'detached' {
  const { turn, environment, stream } = c;
  stream.link.release();
  turn.cancelTimer('idle');
  turn.cancelTimer('ack');
  turn.timer('expire', environment.config.s2s.resumeMs);
  return 'detached';
}

/**
 * Somebody takes over, now or before: told how far this came once accounts are done with all of it, so that nothing comes twice.
 * An old connection that is not known to be lost ends.
 */
export function handOver(c: Incoming, event: TakeOver | undefined, state: IncomingState): IncomingState {
  const { stream, turn } = c;
  if (event !== undefined) {
    const isOwn = stream.sm?.token === event.token && c.local === event.local && c.remote === event.remote;
    if (!isOwn || c.successor !== undefined) {
      turn.reply(event.replyTo, undefined);
      return state;
    }
    c.successor = event;
    turn.timer('hand_over', HAND_OVER_MS);
    if (state !== 'detached') {
      stream.link.transport.destroy();
      state = detach(c);
    }
  }
  const { successor } = c;
  if (successor === undefined) return state;
  if (stream.intake.outstanding > 0 && !c.isHandOverDue) return state;
  turn.reply(successor.replyTo, { taken: stream.handled } satisfies HandOver);
  turn.stop('resumed');
  return 'closing';
}
