/**
 * Default limits of what a peer may send, by how much is known of it. All of them can be
 * replaced by configuration; none can be left out. RFC 6120 §13.12, XEP-0205
 */
import type { FramerLimits } from './frame.ts';

/** Before a client or server has shown who it is: room for negotiation, not for stanzas. */
export const LIMITS_BEFORE_LOGIN: FramerLimits = {
  maxBytes: 8192,
  maxDepth: 8,
  maxElements: 32,
  maxAttributes: 24,
  maxNameBytes: 128,
  maxNamespaces: 16,
  maxWhitespaceBytes: 1024,
};

/** For a client after login. White space for a ping every minute during six weeks. */
export const LIMITS_OF_CLIENT: FramerLimits = {
  maxBytes: 256 * 1024,
  maxDepth: 64,
  maxElements: 4096,
  maxAttributes: 64,
  maxNameBytes: 256,
  maxNamespaces: 64,
  maxWhitespaceBytes: 64 * 1024,
};

/** For a remote server or a component after login: it carries what its own users were allowed to send, in wrapping of its own. */
export const LIMITS_OF_SERVER: FramerLimits = { ...LIMITS_OF_CLIENT, maxBytes: 512 * 1024, maxElements: 8192 };

/** For XML that is no stream: configuration, stored items, HTTP bodies of authenticated users. */
export const LIMITS_OF_DOCUMENT: FramerLimits = { ...LIMITS_OF_SERVER, maxBytes: 1024 * 1024 };
