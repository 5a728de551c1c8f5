/**
 * Stanzas between content namespaces. Inside the server every stanza stands under `jabber:client`; servers and components
 * speak `jabber:server` and `jabber:component:accept`. RFC 6120 §4.8.3
 *
 * A body is text that means the same under any default namespace, as long as nothing in it names a content namespace. What
 * does name one goes through a tree, and only that.
 */
import { Element, type Node } from '../xml/element.ts';
import type { ChildHead, Frame } from '../xml/frame.ts';
import { serialize } from '../xml/serialize.ts';
import { parseBody } from '../xml/tree.ts';
import { NS } from './namespaces.ts';
import type { Stanza } from './stanza.ts';

const CHECKED = { maxDepth: Infinity, maxElements: Infinity };

/** Heads are few and shared (`xml/intern.ts`), and so are what becomes of them. */
const mapped = new WeakMap<ChildHead, ChildHead>();

/** A frame of a stream with another content namespace as one of a client's stream. A frame of `jabber:client` comes back as it is. */
export function toClientContent(frame: Frame): Frame {
  const { ns } = frame;
  if (ns === NS.client) return frame;
  const children = frame.children.map((head) => (head.ns === ns ? clientHead(head) : head));
  // The names stand in the text only where somebody wrote them out: then what was meant by inheritance must be told from that.
  const body = frame.body.includes(ns) || frame.body.includes(NS.client) ? rewritten(frame.body, ns) : frame.body;
  return { ...frame, ns: NS.client, contentNs: NS.client, children, body };
}

function clientHead(head: ChildHead): ChildHead {
  let own = mapped.get(head);
  if (own === undefined) mapped.set(head, (own = { name: head.name, ns: NS.client }));
  return own;
}

function rewritten(body: string, ns: string): string {
  const nodes = parseBody(body, ns, CHECKED) ?? [];
  return nodes.map((node) => (typeof node === 'string' ? node : serialize(withContentNs(node, ns), NS.client))).join('');
}

/** What is of the stanza itself: an element of the content namespace and those of it inside; not what is wrapped in a payload. */
function withContentNs(element: Element, ns: string): Element {
  if (element.ns !== ns) return element;
  const children = element.children.map((child): Node => (typeof child === 'string' ? child : withContentNs(child, ns)));
  return new Element(element.name, NS.client, element.attrs, children);
}

/** A stanza for a stream with another content namespace. Cost beyond `toXml`: one search of the body. */
export function toServerXml(stanza: Stanza): string {
  if (!stanza.body.includes(NS.client) || !stanza.children.some(({ ns }) => ns === NS.client)) return stanza.toXml();
  return stanza.withContent(stanza.element().children).toXml(); // declares what is wrapped and nothing else
}
