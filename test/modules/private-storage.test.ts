import { transcript } from '../harness/transcript.ts';
import { asks, error } from './pubsub-scenes.ts';

const PRIVATE = 'jabber:iq:private';
const query = (inner: string): string => `<query xmlns='${PRIVATE}'>${inner}</query>`;
const PREFS = `<exodus xmlns='exodus:prefs'><defaultnick>Hamlet</defaultnick></exodus>`;

transcript('XEP-0049 §3: an element is kept and given back', async ({ romeo }) => {
  await asks(romeo, '1001', 'set', '', query(PREFS), '');
  await asks(romeo, '1002', 'get', '', query(`<exodus xmlns='exodus:prefs'/>`), query(PREFS));
  await asks(romeo, '1003', 'set', romeo.bare, query(`<exodus xmlns='exodus:prefs'/>`), '');
  await asks(romeo, '1004', 'get', '', query(`<exodus xmlns='exodus:prefs'/>`), query(`<exodus xmlns='exodus:prefs'/>`));
});

transcript('XEP-0049 §3: what was never kept is empty', async ({ romeo }) => {
  await asks(romeo, '1002', 'get', '', query(`<exodus xmlns='exodus:prefs'/>`), query(`<exodus xmlns='exodus:prefs'/>`));
});

transcript(
  'XEP-0049 §3, §4: that of others is forbidden, whether they exist or not',
  { differs: { prosody: 'says service-unavailable' } },
  async (cast) => {
    const { romeo, juliet } = cast;
    for (const to of [juliet.bare, `nobody@${cast.domain}`]) {
      await asks(romeo, 'o1', 'get', to, query(`<exodus xmlns='exodus:prefs'/>`), error('forbidden'));
      await asks(romeo, 'o2', 'set', to, query(PREFS), error('forbidden'));
    }
    await asks(juliet, 'o3', 'get', '', query(`<exodus xmlns='exodus:prefs'/>`), query(`<exodus xmlns='exodus:prefs'/>`));
  },
);

transcript(
  'XEP-0049 §3: a question for nothing, and an element without a namespace of its own',
  { differs: { prosody: 'answers otherwise', ejabberd: 'answers otherwise' } },
  async ({ romeo }) => {
    await asks(romeo, 'b1', 'get', '', query(''), error('bad-request'));
    await asks(romeo, 'b2', 'set', '', query(''), error('bad-request'));
    await asks(romeo, 'b3', 'set', '', query('<prefs/>'), error('not-acceptable'));
  },
);

transcript('limits: elements and size', { modules: { private_storage: { max_elements: 2, max_size: '1KiB' } } }, async ({ romeo }) => {
  await asks(romeo, 'l1', 'set', '', query(`<a xmlns='urn:example:a'/><b xmlns='urn:example:b'/>`), '');
  await asks(romeo, 'l2', 'set', '', query(`<c xmlns='urn:example:c'/>`), error('resource-constraint'));
  await asks(romeo, 'l3', 'set', '', query(`<a xmlns='urn:example:a'>${'x'.repeat(1_024)}</a>`), error('resource-constraint'));
  await asks(romeo, 'l4', 'set', '', query(`<a xmlns='urn:example:a'>x</a>`), '');
});

transcript('what is kept survives a restart', { onlyOurs: 'needs a server that can be restarted' }, async (cast) => {
  await asks(cast.romeo, '1001', 'set', '', query(PREFS), '');
  const again = await cast.restarted();
  await asks(again.romeo, '1002', 'get', '', query(`<exodus xmlns='exodus:prefs'/>`), query(PREFS));
});
