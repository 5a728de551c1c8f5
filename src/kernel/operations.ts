/*
 * What a turn asks for, as numbers in flat arrays: four slots per operation (code, a, b, c), written and
 * read without allocating.
 */

export const STRIDE = 4;

/*
 * Outbound: leave in order, and wait together for barriers.
 */
export const OP_NOTHING = 0;
/** a: ActorRef, b: Message. */
export const OP_SEND = 1;
/** a: Entity, b: Message, c: key. */
export const OP_SEND_NAMED = 2;
/** a: ActorRef, b: Message, c: PendingAsk. */
export const OP_ASK = 3;
/** a: Entity, b: Message, c: PendingAsk. */
export const OP_ASK_NAMED = 4;
/** a: ReplyTo, b: value. */
export const OP_REPLY = 5;
/** a: Cell. */
export const OP_SPAWN = 6;
/** a: function. */
export const OP_EFFECT = 7;
/** a: ActorRef. */
export const OP_MONITOR = 8;
export const OP_DEMONITOR = 9;

/*
 * Local: concern the actor alone and happen when the turn ends, whatever is held.
 */
/** a: name, b: promise. */
export const OP_TASK = 10;
/** a: name, b: delayMs. */
export const OP_TIMER = 11;
/** a: name. */
export const OP_CANCEL_TIMER = 12;
/** a: ActorRef: no event of this watch is handed over any more; OP_DEMONITOR then ends it at the other side. */
export const OP_FORGET = 13;

/*
 * Marks between held operations.
 */
/** A turn begins. a: Barrier it waits for, if not that of the turn before. */
export const OP_TURN = 14;
/** a further Barrier of the turn that follows. */
export const OP_BARRIER = 15;
