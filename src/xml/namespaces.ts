/** The three namespaces the XML layer itself has rules for. */

/** Of the stream root, its features and errors. RFC 6120 §4.8.1 */
export const STREAMS_NS = 'http://etherx.jabber.org/streams';
/** Bound to the prefix `xml`, and to nothing else. Namespaces in XML 1.0 §3 */
export const XML_NS = 'http://www.w3.org/XML/1998/namespace';
/** Bound to the prefix `xmlns`, and never declared. Namespaces in XML 1.0 §3 */
export const XMLNS_NS = 'http://www.w3.org/2000/xmlns/';
