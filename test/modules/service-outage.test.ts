import { transcript } from '../harness/transcript.ts';

const INFO = 'http://jabber.org/protocol/disco#info';

transcript(
  'XEP-0455 §4.1: clients learn where the status of the server is told',
  { modules: { service_outage: { addresses: ['https://status.example.net/xmpp.json', 'http://other.example/'] } } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='d' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
    await romeo.receives(`
      <iq type='result' id='d'>
        <query xmlns='${INFO}' match:rest='ignore'>
          <x xmlns='jabber:x:data' type='result'>
            <field var='FORM_TYPE' type='hidden'><value>urn:xmpp:sos:0</value></field>
            <field var='external-status-addresses' type='list-multi'>
              <value>https://status.example.net/xmpp.json</value><value>http://other.example/</value>
            </field>
          </x>
        </query>
      </iq>`);
  },
);

transcript('XEP-0455 §4.1: nothing is said where there is no status', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d' to='${cast.domain}'><query xmlns='${INFO}'/></iq>`);
  const answer = await romeo.receives(`<iq type='result' id='d'><query xmlns='${INFO}' match:rest='ignore'/></iq>`);
  if (JSON.stringify(answer).includes('urn:xmpp:sos:0')) throw new Error('a form without addresses');
});
