import { type, release } from 'node:os';
import software from '../../package.json' with { type: 'json' };
import { transcript } from '../harness/transcript.ts';

transcript('XEP-0092 §2: the server tells its name and version, and nothing of the machine', { onlyOurs: 'its name' }, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='v1' to='${cast.domain}'><query xmlns='jabber:iq:version'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='v1' from='${cast.domain}'><query xmlns='jabber:iq:version'><name>Rookery</name><version>${software.version}</version></query></iq>`,
  );
});

transcript('XEP-0092 §2: name and version are required', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='v1' to='${cast.domain}'><query xmlns='jabber:iq:version'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='v1'><query xmlns='jabber:iq:version'><name>{any}</name><version>{any}</version><os match:optional='true'>{any}</os></query></iq>`,
  );
});

transcript(
  'XEP-0092 §4: the administrator decides what is told',
  { modules: { version: { show_os: true, show_version: false } } },
  async (cast) => {
    const { romeo } = cast;
    await romeo.sends(`<iq type='get' id='v1' to='${cast.domain}'><query xmlns='jabber:iq:version'/></iq>`);
    await romeo.receives(`
    <iq type='result' id='v1'>
      <query xmlns='jabber:iq:version'><name>Rookery</name><version/><os>${type()} ${release()}</os></query>
    </iq>`);
  },
);

transcript('XEP-0092 §2: nobody sets a version', { differs: { ejabberd: 'answers bad-request' } }, async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='set' id='v1' to='${cast.domain}'><query xmlns='jabber:iq:version'/></iq>`);
  await romeo.receives(
    `<iq type='error' id='v1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
  );
});

transcript('XEP-0092 §3: disco announces it', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='jabber:iq:version'/></query></iq>`,
  );
});
