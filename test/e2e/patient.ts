/** What xmpp.js needs to be used on a machine that runs other tests beside. */

interface Connection {
  timeout: number;
  write(text: string): Promise<void>;
}

/**
 * Its patience of two seconds is too little. And it listens for the answer to a header only when the header's write has
 * been called back; under TLS that is after the next poll, which may have brought the answer already: it would wait
 * for ever. So a write is over at once; that the socket failed is told by its own event.
 *
 * @returns the client or component it was given.
 */
export function patient<T extends object>(made: T): T {
  const connection = made as T & Connection;
  const write = connection.write.bind(connection);
  connection.timeout = 15_000;
  connection.write = async (text) => void write(text).catch(() => undefined);
  return made;
}
