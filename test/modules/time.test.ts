import assert from 'node:assert/strict';
import { test } from 'node:test';
import { zoneOffset } from '../../src/modules/time.ts';
import { transcript } from '../harness/transcript.ts';

transcript('XEP-0202 §3: the server tells its time and zone', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='t1' to='${cast.domain}'><time xmlns='urn:xmpp:time'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='t1' from='${cast.domain}'><time xmlns='urn:xmpp:time'><tzo>{zone}</tzo><utc>{stamp}</utc></time></iq>`,
  );
  assert.match(cast.captured.get('zone')!, /^(?:Z|[+-][0-9]{2}:[0-9]{2})$/); // XEP-0082 §2
});

transcript('XEP-0202 §2: the time is that of the clock', { onlyOurs: 'needs its clock' }, async (cast) => {
  const { romeo } = cast;
  await cast.advance(90_000);
  await romeo.sends(`<iq type='get' id='t1' to='${cast.domain}'><time xmlns='urn:xmpp:time'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='t1'><time xmlns='urn:xmpp:time'><tzo>{zone}</tzo><utc>2025-06-01T12:01:30.000Z</utc></time></iq>`,
  );
});

transcript('XEP-0202 §4: disco announces it', async (cast) => {
  const { romeo } = cast;
  await romeo.sends(`<iq type='get' id='d1' to='${cast.domain}'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`);
  await romeo.receives(
    `<iq type='result' id='d1'><query xmlns='http://jabber.org/protocol/disco#info' match:rest='ignore'><feature var='urn:xmpp:time'/></query></iq>`,
  );
});

transcript(
  "XEP-0202 §3: another account's bare JID tells no time",
  { differs: { prosody: 'answers for accounts' } },
  async ({ romeo, juliet }) => {
    await romeo.sends(`<iq type='get' id='t1' to='${juliet.bare}'><time xmlns='urn:xmpp:time'/></iq>`);
    await romeo.receives(
      `<iq type='error' id='t1'><error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`,
    );
  },
);

test('XEP-0082 §2: the zone is written as an offset from UTC', () => {
  assert.equal(zoneOffset(0), '+00:00');
  assert.equal(zoneOffset(-120), '+02:00');
  assert.equal(zoneOffset(210), '-03:30');
  assert.equal(zoneOffset(-765), '+12:45');
});
