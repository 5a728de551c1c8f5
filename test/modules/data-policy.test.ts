import assert from 'node:assert/strict';
import { moduleSchemas } from '../../src/server/module-schemas.ts';
import { test } from 'node:test';
import { transcript } from '../harness/transcript.ts';

const INFO = 'http://jabber.org/protocol/disco#info';

transcript(
  'XEP-0504 §3: what the operator says of data is in the server’s information',
  {
    modules: {
      data_policy: {
        data_retention: 'infinite',
        encryption_at_rest: false,
        access_policy: ['admins', 'government'],
        extra_info: 'One line.\nAnother.',
      },
    },
  },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='d' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
    await romeo.receives(`
      <iq type='result' id='d'>
        <query xmlns='${INFO}' match:rest='ignore'>
          <x xmlns='jabber:x:data' type='result'>
            <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:data-policy:0</value></field>
            <field var='data_retention' type='text-single'><value>infinite</value></field>
            <field var='encryption_at_rest' type='boolean'><value>0</value></field>
            <field var='access_policy' type='list-multi'><value>admins</value><value>government</value></field>
            <field var='extra_info' type='text-multi'><value>One line.</value><value>Another.</value></field>
          </x>
        </query>
      </iq>`);
  },
);

transcript('XEP-0504 §3: nothing is said for the operator', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
  const answer = await romeo.receives(`<iq type='result' id='d'><query xmlns='${INFO}' match:rest='ignore'/></iq>`);
  assert.ok(!JSON.stringify(answer).includes('urn:xmpp:data-policy'));
});

test('XEP-0504: settings that say what cannot be stop the start', () => {
  const schema = moduleSchemas()['data_policy']!;
  for (const wrong of [
    { data_retention: 'long' },
    { access_policy: ['none', 'admins'] },
    { tos: 'nowhere' },
    { auth_data: 'secret' },
    { backup_frequency: 'unknown' },
  ])
    assert.equal(schema.safeParse(wrong).success, false, JSON.stringify(wrong));
});
