/** Components of jabberd2 on our router listener. What is sent here, and what is expected, was learnt from jabberd2 2.7.0 on a wire. */
import assert from 'node:assert/strict';
import type { CastOfClients } from '../harness/cast.ts';
import { binds, digestResponse, header, link, NS_ROUTER, rawLink, route } from '../harness/router-component.ts';
import { transcript } from '../harness/transcript.ts';
import { childElements, textOf } from '../harness/xml.ts';

const SASL = 'urn:ietf:params:xml:ns:xmpp-sasl';
const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';
const CONFIG = {
  config: {
    routerUsers: {
      jabberd: { secret: 'secret', bind: ['*'], default_route: true, log: true },
      limited: { secret: 's3', bind: ['else.lit'] },
    },
  },
};

function played(title: string, play: (cast: CastOfClients) => Promise<void>): void {
  transcript(title, CONFIG, play);
}

played('sm: logs in with DIGEST-MD5, binds its names, is told who is there', async (cast) => {
  const sm = await rawLink(cast, 'sm');
  const features = await sm.beginsStream(header);
  assert.deepEqual(childElements(features).flatMap(childElements).map(textOf), ['DIGEST-MD5']);
  assert.equal(sm.header['from'], undefined);
  await sm.sends(`<auth xmlns='${SASL}' mechanism='DIGEST-MD5'></auth>`);
  const challenge = Buffer.from(textOf(await sm.takes('a challenge', ({ name }) => name === 'challenge')), 'base64').toString();
  assert.match(challenge, /^realm="jabberd-router", nonce="[^"]{16,}", qop="auth", charset=utf-8, algorithm=md5-sess$/);
  await sm.sends(`<response xmlns='${SASL}'>${digestResponse(challenge, 'jabberd', 'secret')}</response>`);
  const success = Buffer.from(textOf(await sm.takes('success', ({ name }) => name === 'success')), 'base64').toString();
  assert.match(success, /^rspauth=[0-9a-f]{32}$/);
  await sm.beginsStream(header);
  assert.deepEqual(await binds(sm, 'sm'), [cast.domain]);
  assert.deepEqual(await binds(sm, 'localhost.localdomain', ` multi='to'`), [cast.domain]);

  const s2s = await link(cast, 'jabberd', 'secret', 's2s');
  assert.deepEqual(await binds(s2s, 's2s', '', '<default/>'), [cast.domain, 'sm', 'localhost.localdomain']);
  await sm.receives(`<presence xmlns='${NS_ROUTER}' from='s2s'/>`);
  await s2s.endsStream();
  await sm.receives(`<presence xmlns='${NS_ROUTER}' type='unavailable' from='s2s'/>`);
});

played(
  'DIGEST-MD5: wrong passwords, unknown users, replayed and altered responses are refused; the third ends the stream',
  async (cast) => {
    for (const make of [
      (challenge: string) => digestResponse(challenge, 'jabberd', 'wrong'),
      (challenge: string) => digestResponse(challenge, 'nobody', 'secret'),
      (challenge: string) => digestResponse(challenge, 'jabberd', 'secret', (text) => text.replace('cnonce="c"', 'cnonce="d"')),
    ]) {
      const client = await rawLink(cast);
      await client.beginsStream(header);
      await client.sends(`<auth xmlns='${SASL}' mechanism='DIGEST-MD5'/>`);
      const challenge = Buffer.from(textOf(await client.takes('a challenge', ({ name }) => name === 'challenge')), 'base64').toString();
      await client.sends(`<response xmlns='${SASL}'>${make(challenge)}</response>`);
      await client.receives(`<failure xmlns='${SASL}'><not-authorized/></failure>`);
      client.discard();
    }
    const client = await rawLink(cast);
    await client.beginsStream(header);
    await client.sends(`<auth xmlns='${SASL}' mechanism='PLAIN'>AGphYmJlcmQAc2VjcmV0</auth>`);
    await client.receives(`<failure xmlns='${SASL}'><invalid-mechanism/></failure>`);
    const seen: string[] = [];
    for (let tries = 0; tries < 2; tries++) {
      await client.sends(`<auth xmlns='${SASL}' mechanism='DIGEST-MD5'/>`);
      const challenge = Buffer.from(textOf(await client.takes('a challenge', ({ name }) => name === 'challenge')), 'base64').toString();
      seen.push(digestResponse(challenge, 'jabberd', 'secret'));
      // The first is wrong, the second repeats what would have been right for the first.
      await client.sends(`<response xmlns='${SASL}'>${tries === 0 ? digestResponse(challenge, 'jabberd', 'x') : seen[0]}</response>`);
      await client.receives(`<failure xmlns='${SASL}'>{any}</failure>`);
    }
    await client.isClosedWith('policy-violation');
  },
);

played('nothing but the login goes before the login', async (cast) => {
  const client = await rawLink(cast);
  await client.beginsStream(header);
  await client.sends(`<bind xmlns='${NS_ROUTER}' name='sm'/>`);
  await client.isClosedWith('not-authorized');
});

played('bind: 409 for what somebody has, 403 for what the user may not, 400 for no name', async (cast) => {
  const one = await link(cast);
  const two = await link(cast, 'jabberd', 'secret', 'two');
  const refused = async (name: string | undefined, error: number, more = '', inner = '', by = two): Promise<void> => {
    await by.sends(`<bind xmlns='${NS_ROUTER}'${name === undefined ? '' : ` name='${name}'`}${more}>${inner}</bind>`);
    await by.receives(`<bind xmlns='${NS_ROUTER}' error='${error}'${more}>${inner}</bind>`);
  };
  await binds(one, 'a.lit');
  await refused('a.lit', 409);
  await refused('a.lit', 409, '', '', one);
  await refused('a.lit', 409, ` multi='to'`);
  await refused(cast.domain, 409); // a virtual host
  await refused('gateway.capulet.lit', 409); // an external component's
  await refused('pubsub.capulet.lit', 409); // a service of ours
  await refused(undefined, 400);
  await refused('a b@/', 400);
  await refused('x@a.lit', 400);
  await binds(one, 'd.lit', '', '<default/>');
  await refused('e.lit', 409, '', '<default/>');
  const limited = await link(cast, 'limited', 's3');
  await refused('other.lit', 403, '', '', limited);
  await refused('limited', 403, '', '<default/>', limited);
  await refused('limited', 403, '', '<log/>', limited);
  await binds(limited, 'limited');
  await binds(limited, 'else.lit');
  one.takesAll();
  await one.sends(`<unbind xmlns='${NS_ROUTER}' name='limited'/>`);
  await one.receives(`<unbind xmlns='${NS_ROUTER}' error='404'/>`);
  await one.sends(`<unbind xmlns='${NS_ROUTER}'/>`);
  await one.receives(`<unbind xmlns='${NS_ROUTER}' error='400'/>`);
  await one.sends(`<unbind xmlns='${NS_ROUTER}' name='a.lit'/>`);
  await one.receives(`<unbind xmlns='${NS_ROUTER}'/>`);
  await limited.takes('word of it', ({ attrs }) => attrs['type'] === 'unavailable' && attrs['from'] === 'a.lit');
});

played('a component exchanges stanzas with users, both ways', async (cast) => {
  const { romeo } = cast;
  const sm = await link(cast);
  await binds(sm, 'sm');
  await binds(sm, 'verona.lit', ` multi='to'`);
  await sm.sends(
    route(
      'sm',
      cast.domain,
      `<message xmlns='jabber:client' from='alice@verona.lit/r' to='${romeo.full}' type='chat' id='m1'><body>hi</body></message>`,
    ),
  );
  await romeo.receives(`<message from='alice@verona.lit/r' type='chat' id='m1'><body>hi</body></message>`);
  await romeo.sends(`<message to='alice@verona.lit/r' type='chat' id='m2'><body>ho</body><x xmlns='y'><z/></x></message>`);
  await sm.receives(
    route(
      cast.domain,
      'verona.lit',
      `<message xmlns='jabber:client' from='${romeo.full}' to='alice@verona.lit/r' type='chat' id='m2'><body>ho</body><x xmlns='y'><z/></x></message>`,
    ),
  );
  // What sm asks of every name it hears of.
  await sm.sends(
    route(
      'sm',
      cast.domain,
      `<iq xmlns='jabber:client' id='d' from='sm' to='${cast.domain}' type='get'><query xmlns='http://jabber.org/protocol/disco#info'/></iq>`,
    ),
  );
  const answer = await sm.takes('the answer', ({ name }) => name === 'route');
  assert.deepEqual([answer.attrs['from'], answer.attrs['to']], [cast.domain, 'sm']);
  // Marks of jabberd2's own on a stanza do not leave it.
  await sm.sends(
    route(
      'sm',
      cast.domain,
      `<message xmlns='jabber:client' xmlns:sc='http://jabberd.jabberstudio.org/ns/session/1.0' sc:sm='1' from='alice@verona.lit/r' to='${romeo.full}'><body>3</body></message>`,
    ),
  );
  await romeo.receives(`<message from='alice@verona.lit/r'><body>3</body></message>`);
  await romeo.sends(`<message to='bob@nowhere.lit' type='chat' id='m4'><body>?</body></message>`);
  await romeo.receives(
    `<message from='bob@nowhere.lit' type='error' id='m4'><error type='cancel'><remote-server-not-found xmlns='${STANZAS}'/></error></message>`,
  );
});

played('packets between components are carried as they are', async (cast) => {
  const sm = await link(cast);
  const c2s = await link(cast, 'jabberd', 'secret', 'c2s');
  await binds(sm, 'sm');
  await binds(c2s, 'c2s');
  sm.takesAll();
  const session = `<sc:session xmlns:sc='http://jabberd.jabberstudio.org/ns/session/1.0' id='bb5b' target='alice@localhost.localdomain/r' action='start' sc:c2s='9'/>`;
  await c2s.sends(route('c2s', 'sm', session));
  await sm.receives(route('c2s', 'sm', session));
  const stanza = `<message xmlns:sc='http://jabberd.jabberstudio.org/ns/session/1.0' xmlns='jabber:client' sc:sm='0612' sc:c2s='9' id='m1' type='chat' to='bob@elsewhere.example'><body>hi</body></message>`;
  await sm.sends(route('sm', 'c2s', stanza));
  await c2s.receives(route('sm', 'c2s', stanza));
});

played('route: what cannot be carried comes back with a number', async (cast) => {
  const { romeo } = cast;
  const one = await link(cast);
  const two = await link(cast, 'jabberd', 'secret', 'two');
  await binds(one, 'a.lit');
  await binds(two, 'b.lit');
  one.takesAll();
  const message = (from: string, to: string): string => `<message xmlns='jabber:client' from='${from}' to='${to}'><body>x</body></message>`;
  const comesBack = async (xml: string, error: number): Promise<void> => {
    await one.sends(xml);
    await one.receives(xml.replace('<route ', `<route error='${error}' `));
  };
  await comesBack(route('b.lit', 'b.lit', message('x@b.lit', 'y@b.lit')), 401); // not its name
  await comesBack(route('zz.lit', 'b.lit', message('x@zz.lit', 'y@b.lit')), 401);
  await comesBack(`<route xmlns='${NS_ROUTER}' to='b.lit'><x xmlns='y'/></route>`, 400);
  await comesBack(`<route xmlns='${NS_ROUTER}' from='a.lit'><x xmlns='y'/></route>`, 400);
  await comesBack(route('a.lit', 'nowhere.lit', message('x@a.lit', 'y@nowhere.lit')), 404);
  // Ours is stricter with what leaves the router: see threats.
  await comesBack(route('a.lit', cast.domain, message('x@b.lit', romeo.full)), 401);
  await comesBack(route('a.lit', cast.domain, message('x@a.lit', 'y@other.lit')), 400);
  await comesBack(route('a.lit', cast.domain, `<x xmlns='y'/>`), 400);
  await comesBack(route('a.lit', cast.domain, message('x@a.lit', romeo.full) + message('x@a.lit', romeo.full)), 400);
  assert.deepEqual(
    two.takesAll().filter(({ name }) => name === 'route'),
    [],
  );
  // One that has come back already is not carried, nor are kinds that nobody knows.
  await one.sends(route('a.lit', 'b.lit', message('x@a.lit', 'y@b.lit'), ` error='404'`));
  for (const type of ['multicast', 'foo']) await one.sends(route('a.lit', 'b.lit', message('x@a.lit', 'y@b.lit'), ` type='${type}'`));
  assert.deepEqual(
    [...one.takesAll(), ...two.takesAll()].filter(({ name }) => name === 'route'),
    [],
  );
  await romeo.receivesNothing();
});

played('broadcast goes to all other components, log sinks see a copy of the rest', async (cast) => {
  const one = await link(cast);
  const two = await link(cast, 'jabberd', 'secret', 'two');
  const sink = await link(cast, 'jabberd', 'secret', 'sink');
  await binds(one, 'a.lit');
  await binds(two, 'b.lit');
  await binds(sink, 'sink', '', '<log/>');
  for (const each of [one, two, sink]) each.takesAll();
  await one.sends(`<route xmlns='${NS_ROUTER}' type='broadcast' from='a.lit'><x xmlns='y'/></route>`);
  for (const each of [two, sink]) await each.receives(`<route xmlns='${NS_ROUTER}' type='broadcast' from='a.lit'><x xmlns='y'/></route>`);
  await one.sends(route('a.lit', 'b.lit', `<x xmlns='y'/>`));
  await two.receives(route('a.lit', 'b.lit', `<x xmlns='y'/>`));
  await sink.receives(route('a.lit', 'b.lit', `<x xmlns='y'/>`, ` type='log'`));
  assert.deepEqual(one.takesAll(), []);
});

played('throttle comes back when all before it has left; what nobody knows is passed over', async (cast) => {
  const one = await link(cast);
  await binds(one, 'a.lit');
  await one.sends(`<throttle xmlns='${NS_ROUTER}' from='a.lit' to='b.lit'/>`);
  await one.receives(`<throttle xmlns='${NS_ROUTER}' from='a.lit' to='b.lit'/>`);
  await one.sends(
    `<unthrottle xmlns='${NS_ROUTER}'/><foo xmlns='${NS_ROUTER}'/><iq xmlns='jabber:client' type='get' id='1' to='b.lit' from='a.lit'><q xmlns='x'/></iq><throttle xmlns='${NS_ROUTER}'/>`,
  );
  await one.receives(`<throttle xmlns='${NS_ROUTER}'/>`);
});

played('multi: several components share a name, by whose stanza it is', async (cast) => {
  const people = [cast.romeo, cast.juliet, cast.nurse, cast.mercutio, cast.benvolio, cast.tybalt];
  await cast.ready();
  const links = [await link(cast), await link(cast, 'jabberd', 'secret', 'two')];
  for (const each of links) await binds(each, 'a.lit', ` multi='from'`);
  for (const each of links) each.takesAll();
  for (const round of [1, 2])
    for (const each of people) await each.sends(`<message to='x@a.lit' id='${each.name}-${round}'><body>x</body></message>`);
  const got = links.map((each) => each.takesAll().map(({ children }) => (children[0] as { attrs: Record<string, string> }).attrs['id']!));
  assert.equal(got.flat().length, 12);
  for (const ids of got) assert.ok(ids.length > 0 && ids.length % 2 === 0, ids.join(' '));
});

played('the default route gets what nobody has, and brings what others say; nothing goes round in circles', async (cast) => {
  const { romeo } = cast;
  const s2s = await link(cast, 'jabberd', 'secret', 's2s');
  await binds(s2s, 's2s', '', '<default/>');
  await romeo.sends(`<message to='bob@montague.lit' type='chat' id='m1'><body>hi</body></message>`);
  await s2s.receives(
    route(
      cast.domain,
      'montague.lit',
      `<message xmlns='jabber:client' from='${romeo.full}' to='bob@montague.lit' type='chat' id='m1'><body>hi</body></message>`,
    ),
  );
  await s2s.sends(
    route(
      's2s',
      cast.domain,
      `<message xmlns='jabber:client' from='bob@montague.lit/x' to='${romeo.full}' type='chat' id='m2'><body>ho</body></message>`,
    ),
  );
  await romeo.receives(`<message from='bob@montague.lit/x' type='chat' id='m2'><body>ho</body></message>`);
  // It may not speak for those that are here.
  for (const from of [romeo.full, cast.domain, 'x@gateway.capulet.lit', 'x@pubsub.capulet.lit']) {
    const xml = route('s2s', cast.domain, `<message xmlns='jabber:client' from='${from}' to='${romeo.full}'><body>x</body></message>`);
    await s2s.sends(xml);
    await s2s.receives(xml.replace('<route ', `<route error='401' `));
  }
  const loop = route(
    's2s',
    'montague.lit',
    `<message xmlns='jabber:client' from='x@other.lit' to='bob@montague.lit'><body>x</body></message>`,
  );
  await s2s.sends(loop);
  await s2s.receives(loop.replace('<route ', `<route error='404' `));
  await romeo.receivesNothing();
  await s2s.drops();
  await romeo.sends(`<message to='bob@montague.lit' type='chat' id='m3'><body>hi</body></message>`);
  await romeo.receives(
    `<message from='bob@montague.lit' type='error' id='m3'><error type='cancel'><remote-server-not-found xmlns='${STANZAS}'/></error></message>`,
  );
});

played('a link whose actor crashes goes on', async (cast) => {
  const { romeo } = cast;
  const sm = await link(cast);
  await binds(sm, 'a.lit');
  const { kernel, crashes } = cast.memory;
  kernel.crash(kernel.list({ kind: 'router_link' })[0]!.ref, new Error('a drill'));
  await cast.target.settle();
  assert.equal(crashes.splice(0).length, 1);
  await sm.sends(route('a.lit', cast.domain, `<message xmlns='jabber:client' from='x@a.lit' to='${romeo.full}'><body>x</body></message>`));
  await romeo.receives(`<message from='x@a.lit'><body>x</body></message>`);
  await romeo.sends(`<message to='x@a.lit' id='y'><body>y</body></message>`);
  await sm.takes('it', ({ name }) => name === 'route');
});
