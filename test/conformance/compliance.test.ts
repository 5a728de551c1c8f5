/** What the compliance suites (XEP-0479) ask of what this server has is advertised where clients look for it, with its settings as they come, but for a STUN server, which only the operator can name. */
import assert from 'node:assert/strict';
import type { Client } from '../harness/cast.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, childOf, type XmlElement } from '../harness/xml.ts';
import { missing, WANTED, type Advertised } from './suites.ts';

const INFO = 'http://jabber.org/protocol/disco#info';
const ITEMS = 'http://jabber.org/protocol/disco#items';

async function query(client: Client, ns: string, to: string): Promise<XmlElement[]> {
  const id = `q${to}${ns.at(-1)}`;
  await client.sends(`<iq type='get' id='${id}' to='${to}'><query xmlns='${ns}'/></iq>`);
  const answer = await client.takes(`the answer of ${to}`, ({ name, attrs }) => name === 'iq' && attrs['id'] === id);
  assert.equal(answer.attrs['type'], 'result', to);
  return childElements(childOf(answer, 'query')!);
}

/** `feature …` and `identity …` of an answer. */
const facts = (elements: readonly XmlElement[]): string[] =>
  elements.map(({ name, attrs }) => (name === 'feature' ? `feature ${attrs['var']}` : `${name} ${attrs['category']}/${attrs['type']}`));

transcript(
  'XEP-0479: every suite’s features are advertised, of those that are implemented',
  {
    onlyOurs: 'a look at our own modules',
    modules: { external_services: { services: [{ type: 'stun', host: 'stun.capulet.lit', port: 3478, transport: 'udp' }] } },
  },
  async (cast) => {
    const { romeo } = cast;
    const facing = {
      server: facts(await query(romeo, INFO, cast.domain)),
      account: facts(await query(romeo, INFO, romeo.bare)),
      service: [] as string[],
      ...(await streamFeatures()),
    };
    for (const { attrs } of await query(romeo, ITEMS, cast.domain)) facing.service.push(...facts(await query(romeo, INFO, attrs['jid']!)));

    for (const wanted of WANTED) {
      if (missing(wanted).length > 0) continue;
      for (const each of wanted.advertised) {
        const [by, fact] = sought(each);
        assert.ok(facing[by].includes(fact), `${wanted.suite}, ${wanted.feature}: ${by} does not say '${fact}'`);
      }
    }

    async function streamFeatures(): Promise<{ readonly login: string[]; readonly stream: string[] }> {
      const raw = await cast.raw();
      await raw.opensStream();
      await raw.receivesStream();
      const before = await raw.takes('the features', ({ name }) => name === 'features');
      await raw.sends(
        `<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>${btoa(`\0romeo\0${cast.passwordOf('romeo')}`)}</auth>`,
      );
      await raw.receives(`<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>`);
      await raw.opensStream();
      await raw.receivesStream();
      const after = await raw.takes('the features', ({ name }) => name === 'features');
      const named = (features: XmlElement) => childElements(features).map(({ name, ns }) => `element ${name} ${ns}`);
      return { login: named(before), stream: named(after) };
    }
  },
);

function sought(each: Advertised): readonly ['server' | 'account' | 'service' | 'login' | 'stream', string] {
  if ('element' in each) return [each.by, `element ${each.element.join(' ')}`];
  return [each.by, 'feature' in each ? `feature ${each.feature}` : `identity ${each.identity}`];
}
