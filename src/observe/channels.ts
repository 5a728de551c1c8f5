/**
 * Diagnostics channels: what a program that embeds the server, or a debugger loaded into it,
 * may watch without the server doing anything for it. `channel.hasSubscribers` is a field
 * read, so a publisher asks it first and makes the message only then.
 */
import diagnostics from 'node:diagnostics_channel';

/** Names and when each speaks; messages are plain data in the publisher's thread, valid during the call. */
export const CHANNELS = {
  /** A connection was accepted. `{ remoteAddress, localPort }` */
  connectionOpened: diagnostics.channel('rookery:connection:opened'),
  /** A connection is over. `{ remoteAddress, reason }` */
  connectionClosed: diagnostics.channel('rookery:connection:closed'),
  /** Someone logged in, or could not. `{ account, mechanism, isSuccess }` */
  login: diagnostics.channel('rookery:login'),
  /** A resource was bound. `{ address }` */
  sessionStarted: diagnostics.channel('rookery:session:started'),
  /** A session ended. `{ address, reason }` */
  sessionEnded: diagnostics.channel('rookery:session:ended'),
  /** A stanza arrived from a client. `{ from, to, name, bytes }` */
  stanzaReceived: diagnostics.channel('rookery:stanza:received'),
  /** An actor crashed. `{ kind, what, state, error, willRestart }` */
  actorCrashed: diagnostics.channel('rookery:actor:crashed'),
} as const;
