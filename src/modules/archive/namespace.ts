/** Names on the wire. */

/** XEP-0313 §9.1 */
export const MAM = 'urn:xmpp:mam:2';
/** XEP-0313 §4.1.3, §4.3.4, §5: `before-id` and its like, flipped pages, metadata. */
export const MAM_EXTENDED = 'urn:xmpp:mam:2#extended';
/** XEP-0313 §7: the form has `include-groupchat`. */
export const MAM_GROUPCHAT_FIELD = 'urn:xmpp:mam:2#groupchat-field';
/** XEP-0431 §2.1 */
export const FULL_TEXT = 'urn:xmpp:fulltext:0';
