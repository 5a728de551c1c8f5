import assert from 'node:assert/strict';
import { test } from 'node:test';
import { el } from '../../src/xml/element.ts';
import { serialize } from '../../src/xml/serialize.ts';
import { NS } from '../../src/xmpp/namespaces.ts';
import { CONDITIONS, parseStanzaError, StanzaError, stanzaErrorElement, type Condition } from '../../src/xmpp/stanza-error.ts';
import { parseStreamError, STREAM_CONDITIONS, streamErrorElement } from '../../src/xmpp/stream-error.ts';

const STANZAS = 'urn:ietf:params:xml:ns:xmpp-stanzas';

test('RFC 6120 §8.3.3: twenty-two conditions with the type each section recommends', () => {
  assert.equal(Object.keys(CONDITIONS).length, 22);
  const auth = ['forbidden', 'not-authorized', 'registration-required', 'subscription-required'];
  const modify = ['bad-request', 'jid-malformed', 'not-acceptable', 'policy-violation', 'redirect'];
  const wait = ['recipient-unavailable', 'remote-server-timeout', 'resource-constraint', 'unexpected-request'];
  for (const [condition, type] of Object.entries(CONDITIONS)) {
    assert.equal(
      type,
      auth.includes(condition) ? 'auth' : modify.includes(condition) ? 'modify' : wait.includes(condition) ? 'wait' : 'cancel',
      condition,
    );
  }
});

test('RFC 6120 §8.3.2: parse after print is the same error, for every condition', () => {
  for (const condition of Object.keys(CONDITIONS) as Condition[]) {
    const uri = condition === 'gone' || condition === 'redirect' ? 'xmpp:romeo@afterlife.example' : undefined;
    for (const error of [
      new StanzaError(condition, undefined, { uri }),
      new StanzaError(condition, 'Because & why', {
        type: 'wait',
        by: 'capulet.example',
        appCondition: el('too-many-parameters', 'http://example.org/ns'),
        uri,
      }),
    ]) {
      assert.deepEqual(parseStanzaError(stanzaErrorElement(error)), error);
    }
  }
});

test('RFC 6120 §8.3.2: the element as text', () => {
  const error = new StanzaError('gone', 'Moved', {
    by: 'example.net',
    uri: 'xmpp:romeo@afterlife.example',
    appCondition: el('x', 'urn:x'),
  });
  assert.equal(
    serialize(stanzaErrorElement(error), NS.client),
    `<error type='cancel' by='example.net'><gone xmlns='${STANZAS}'>xmpp:romeo@afterlife.example</gone><text xmlns='${STANZAS}' xml:lang='en'>Moved</text><x xmlns='urn:x'/></error>`,
  );
  assert.equal(
    serialize(stanzaErrorElement(new StanzaError('item-not-found')), NS.client),
    `<error type='cancel'><item-not-found xmlns='${STANZAS}'/></error>`,
  );
});

test('RFC 6120 §8.3.2: errors of others may be odd and are still errors', () => {
  for (const ns of [NS.client, NS.server, NS.component])
    assert.equal(parseStanzaError(el('error', ns, { type: 'auth' }, el('forbidden', STANZAS)))?.condition, 'forbidden');
  const unknown = parseStanzaError(el('error', NS.client, { type: 'wait' }, el('on-fire', STANZAS), el('app', 'urn:app')));
  assert.deepEqual([unknown?.condition, unknown?.type, unknown?.appCondition?.name], ['undefined-condition', 'wait', 'app']);
  assert.deepEqual(parseStanzaError(el('error', NS.client)), new StanzaError('undefined-condition'));
  assert.equal(parseStanzaError(el('error', NS.client, { type: 'odd' }, el('conflict', STANZAS)))?.type, 'cancel');
  assert.equal(
    parseStanzaError(el('error', NS.client, {}, el('__proto__', STANZAS), el('constructor', STANZAS)))?.condition,
    'undefined-condition',
  );
  assert.equal(parseStanzaError(el('body', NS.client)), undefined);
});

test('RFC 6120 §4.9.3: twenty-five stream conditions, each printed and read', () => {
  assert.equal(STREAM_CONDITIONS.length, 25);
  for (const condition of STREAM_CONDITIONS) {
    assert.deepEqual(parseStreamError(streamErrorElement(condition)), {
      condition,
      text: undefined,
      appCondition: undefined,
      host: undefined,
    });
  }
  const app = el('escape-your-data', 'http://example.org/ns');
  const read = parseStreamError(streamErrorElement('see-other-host', 'Elsewhere', app, '[2001:41D0:1:A49b::1]:9222'));
  assert.deepEqual(read, { condition: 'see-other-host', text: 'Elsewhere', appCondition: app, host: '[2001:41D0:1:A49b::1]:9222' });
  assert.equal(parseStreamError(el('error', NS.client)), undefined);
  assert.equal(parseStreamError(el('error', NS.streams, {}, el('on-fire', NS.streamErrors)))?.condition, 'undefined-condition');
});
