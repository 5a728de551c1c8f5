/** ANONYMOUS, server side. RFC 4505, XEP-0175. */
import { randomUUID } from 'node:crypto';
import { failure, success, type FirstMessage } from './exchange.ts';
import { utf8 } from './identity.ts';

/** Of trace information, in characters. RFC 4505 §3 */
const MAX_TRACE_LENGTH = 255;

/** The only message: trace information, checked and then forgotten. XEP-0175 §3 wants a UUID for the account. */
export function anonymous(): FirstMessage {
  return (data) => {
    const trace = utf8(data);
    if (trace === undefined || trace.includes('\0') || [...trace].length > MAX_TRACE_LENGTH) return failure('malformed-request');
    return success(randomUUID());
  };
}
