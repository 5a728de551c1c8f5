/** The priority of an available resource. RFC 6121 §4.7.2.3 */
import { NS } from '../../xmpp/namespaces.ts';
import { StanzaError } from '../../xmpp/stanza-error.ts';
import type { Stanza } from '../../xmpp/stanza.ts';

const NAME = 'priority';

/**
 * The priority that a presence names; 0 where it names none.
 *
 * @returns an error for the client where the value is no integer from -128 to 127, or there are two.
 */
export function readPriority(stanza: Stanza): number | StanzaError {
  if (!stanza.has(NAME, NS.client)) return 0;
  const priority = parsePriority(textFromBody(stanza.body) ?? textFromTree(stanza) ?? '');
  return priority ?? new StanzaError('bad-request', 'A priority is one integer from -128 to 127');
}

/** xs:byte, white space around it allowed. */
export function parsePriority(text: string): number | undefined {
  if (!/^[ \t\r\n]{0,16}[+-]?[0-9]{1,8}[ \t\r\n]{0,16}$/.test(text)) return undefined;
  const value = Number(text);
  return value < -128 || value > 127 ? undefined : value + 0;
}

/**
 * Nearly every presence with a priority says `<priority>5</priority>` and the word nowhere else, so that no tree
 * has to be built: that costs about what a broadcast to 200 contacts does. Where it could mean anything else: `undefined`.
 */
function textFromBody(body: string): string | undefined {
  const open = body.indexOf(NAME);
  const close = body.indexOf(NAME, open + NAME.length);
  if (close === -1 || body.includes(NAME, close + NAME.length)) return undefined;
  const start = open + NAME.length + 1;
  const end = close - 2;
  if (body[open - 1] !== '<' || body[start - 1] !== '>' || body[end] !== '<' || body[end + 1] !== '/') return undefined;
  const text = body.slice(start, end);
  return text.includes('&') || text.includes('<') ? undefined : text;
}

function textFromTree(stanza: Stanza): string | undefined {
  const elements = stanza.element().childrenNamed(NAME, NS.client);
  return elements.length === 1 && elements[0]!.elements().length === 0 ? elements[0]!.text() : undefined;
}
