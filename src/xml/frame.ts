/**
 * What the framer hands up: one completely checked piece of a stream. Nothing here
 * is a tree; `tree.ts` builds one from a frame where a handler needs it.
 */

/** The name of a direct child of the framed element. */
export interface ChildHead {
  readonly name: string;
  readonly ns: string;
}

export const NO_CHILDREN: readonly ChildHead[] = [];

/** A list of one's own with one more. Most elements have one or two children: a list that grew by `push` would have room for seventeen. */
export function withChild(children: readonly ChildHead[], head: ChildHead): readonly ChildHead[] {
  if (children.length === 0) return [head];
  if (children.length === 1) return [children[0]!, head];
  (children as ChildHead[]).push(head);
  return children;
}

/** `open`: a stream header. `element`: a complete first-level element. `close`: the stream's end tag. */
export type FrameKind = 'open' | 'element' | 'close';

export interface Frame {
  readonly kind: FrameKind;
  /** Local name and namespace of the element (of the stream root for `open`). */
  readonly name: string;
  readonly ns: string;
  /**
   * Default namespace in scope inside the element: the content namespace of an `open`. Of an `element` always its own `ns`:
   * where the default is another, the body has been re-written, so it can stand in `<name xmlns='ns'>` and nothing else
   * is to be known. (An element `xml:…` keeps the default it came with: its own namespace can be none.)
   */
  readonly contentNs: string;
  /**
   * Attributes, flat: name, value, name, value … Values are unescaped. Namespace declarations
   * are left out; `xml:lang` is under that name, other prefixed ones as `{ns}name`.
   */
  readonly attrs: readonly string[];
  readonly children: readonly ChildHead[];
  /** Text other than white space directly inside the element. */
  readonly hasText: boolean;
  /**
   * What stands between the start and end tag, as received and checked; '' where empty. It means the same
   * wherever it is put under default namespace `contentNs`: a body that used prefixes declared
   * outside of it has been re-written to declare them itself. No CDATA, no carriage return but as a reference.
   */
  readonly body: string;
  /** Size on the wire. */
  readonly bytes: number;
}

/** The condition of the stream error that the peer gets. RFC 6120 §4.9.3 */
export type FrameCondition =
  | 'bad-format'
  | 'bad-namespace-prefix'
  | 'invalid-namespace'
  | 'invalid-xml'
  | 'not-well-formed'
  | 'policy-violation'
  | 'restricted-xml'
  | 'unsupported-encoding';

/** The stream cannot go on. */
export interface FrameError {
  readonly kind: 'error';
  readonly condition: FrameCondition;
  /** A sentence for the peer; never echoes its bytes. */
  readonly text: string;
}

/** What one peer may send at most. Every exceeded limit is a `policy-violation`. */
export interface FramerLimits {
  /** Of one first-level element, start to end tag, and of the stream header. */
  readonly maxBytes: number;
  /** Of nesting below the stream root; a stanza is at depth 1. */
  readonly maxDepth: number;
  /** Elements in one first-level element, all levels. */
  readonly maxElements: number;
  /** Attributes of one element, declarations included. */
  readonly maxAttributes: number;
  /** Bytes of one element, attribute or prefix name. */
  readonly maxNameBytes: number;
  /** Namespace declarations in scope. */
  readonly maxNamespaces: number;
  /** White space between first-level elements without any element (keep-alives reset by elements). */
  readonly maxWhitespaceBytes: number;
}
