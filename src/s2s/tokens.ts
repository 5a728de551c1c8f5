/**
 * Where a stream is that can be resumed: one actor for each token, at a place that follows from the token, since the connection
 * that resumes may be accepted by any worker. XEP-0198 §5
 */
import { defineMachine, type ActorRef, type KernelEvent, type Turn } from '../kernel/actor.ts';
import type { HoldToken, IncomingMessage, TakeOver } from './environment.ts';

type TokenMessage = HoldToken | TakeOver;

interface TokenData {
  stream: ActorRef<IncomingMessage> | undefined;
}

function holding(data: TokenData, event: TokenMessage | KernelEvent, turn: Turn<TokenMessage>): 'holding' {
  switch (event.kind) {
    case 'hold_token':
      if (data.stream !== undefined) turn.demonitor(data.stream);
      data.stream = event.stream;
      turn.monitor(event.stream);
      break;
    case 'take_over':
      if (data.stream !== undefined) {
        turn.send(data.stream, event); // it answers
        break;
      }
      turn.reply(event.replyTo, undefined);
      turn.stop('unknown');
      break;
    case 'down':
      if (data.stream === undefined || event.ref.id !== data.stream.id || event.ref.worker !== data.stream.worker) break;
      data.stream = undefined;
      turn.stop('over');
      break;
    default:
  }
  return 'holding';
}

export const tokenMachine = defineMachine<'holding', TokenData, TokenMessage, string>({
  name: 's2s_token',
  initial: 'holding',
  init: () => ({ stream: undefined }),
  states: { holding },
});
