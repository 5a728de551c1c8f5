/**
 * Every reason for which a stream ends in the framer. Made once: a peer can cause
 * any number of them at no cost to us. Conditions by RFC 6120 §4.9.3.
 */
import type { FrameCondition, FrameError } from './frame.ts';

function failure(condition: FrameCondition, text: string): FrameError {
  return Object.freeze({ kind: 'error', condition, text });
}

export const FAILURES = {
  // §4.9.3.22: "improperly encoded the stream (e.g., by violating the rules of the UTF-8 encoding)"
  utf8: failure('unsupported-encoding', 'The stream is not valid UTF-8.'),
  encoding: failure('unsupported-encoding', 'The encoding of an XMPP stream is UTF-8.'),

  // §4.9.3.18, §11.1
  comment: failure('restricted-xml', 'Comments are not allowed in XMPP.'),
  instruction: failure('restricted-xml', 'Processing instructions are not allowed in XMPP.'),
  doctype: failure('restricted-xml', 'Document type definitions are not allowed in XMPP.'),
  entity: failure('restricted-xml', 'Only the five predefined entities are allowed in XMPP.'),

  // §4.9.3.13, §11.3: violations of XML 1.0 or of Namespaces in XML 1.0
  char: failure('not-well-formed', 'A character that XML does not allow.'),
  markup: failure('not-well-formed', 'Malformed markup.'),
  name: failure('not-well-formed', 'A malformed name.'),
  attribute: failure('not-well-formed', 'A malformed attribute.'),
  duplicate: failure('not-well-formed', 'An attribute is given twice.'),
  reference: failure('not-well-formed', 'A malformed reference.'),
  sectionEnd: failure('not-well-formed', "The sequence ']]>' must be escaped in text."),
  endTag: failure('not-well-formed', 'An end tag does not match its start tag.'),
  declaration: failure('not-well-formed', 'A malformed XML declaration.'),
  namespace: failure('not-well-formed', 'A namespace declaration that Namespaces in XML does not allow.'),
  prolog: failure('not-well-formed', 'Text before the stream header.'),
  epilog: failure('not-well-formed', 'Data after the end of the stream.'),

  // §4.9.3.2
  prefix: failure('bad-namespace-prefix', 'A namespace prefix is not declared.'),

  // §4.8.1, §4.9.3.10
  streamNamespace: failure('invalid-namespace', 'The stream header is not in the stream namespace.'),

  // §4.9.3.1: well-formed, yet nothing a stream can carry
  version: failure('bad-format', 'The version of XML in XMPP is 1.0.'),
  root: failure('bad-format', 'The stream header is not named stream.'),
  text: failure('bad-format', 'Text outside of an element.'),
  nestedStream: failure('bad-format', 'An element of the stream namespace where there may be none.'),

  // §4.9.3.14
  maxBytes: failure('policy-violation', 'The element is too long.'),
  maxRewrittenBytes: failure('policy-violation', 'The element is too long once its namespaces are declared where they are used.'),
  maxDepth: failure('policy-violation', 'Elements are nested too deeply.'),
  maxElements: failure('policy-violation', 'The element has too many descendants.'),
  maxAttributes: failure('policy-violation', 'An element has too many attributes.'),
  maxNameBytes: failure('policy-violation', 'A name is too long.'),
  maxNamespaces: failure('policy-violation', 'Too many namespaces are declared.'),
  maxWhitespaceBytes: failure('policy-violation', 'Too much white space between elements.'),
} as const;
