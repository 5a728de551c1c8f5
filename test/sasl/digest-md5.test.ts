import assert from 'node:assert/strict';
import { test } from 'node:test';
import { digestChallenge, readDigestResponse } from '../../src/sasl/digest-md5.ts';

const IMAP = { realm: 'elwood.innosoft.com', nonce: 'OA6MG9tEQGm2hh' };
const VECTOR =
  'charset=utf-8,username="chris",realm="elwood.innosoft.com",nonce="OA6MG9tEQGm2hh",nc=00000001,cnonce="OA6MHXh6VqTrRk",' +
  'digest-uri="imap/elwood.innosoft.com",response=d388dad90d4bbd760a152321f2143af7,qop=auth';

test('RFC 2831 §4: the example', () => {
  const response = readDigestResponse(VECTOR, IMAP, 'imap');
  assert.equal(response?.username, 'chris');
  assert.equal(response?.verify('secret'), 'rspauth=ea40f60335c427b5527b84dbabcdfffd');
  assert.equal(response?.verify('Secret'), undefined);
  assert.equal(response?.verify(undefined), undefined);
});

test('what jabberd2’s sm said to its router, and what that answered', () => {
  const offer = { realm: 'jabberd-router', nonce: 'hEuChvDKfbzWGwlQ0wfhjw==' };
  assert.equal(
    digestChallenge(offer),
    'realm="jabberd-router", nonce="hEuChvDKfbzWGwlQ0wfhjw==", qop="auth", charset=utf-8, algorithm=md5-sess',
  );
  const text = Buffer.from(
    'dXNlcm5hbWU9ImphYmJlcmQiLCByZWFsbT0iamFiYmVyZC1yb3V0ZXIiLCBub25jZT0iaEV1Q2h2REtmYnpXR3dsUTB3Zmhqdz09IiwgY25vbmNlPSJJWGNCcmdWSy94L3BzN3NleDJtajhnPT0iLCBuYz0wMDAwMDAwMSwgcW9wPWF1dGgsIGRpZ2VzdC11cmk9ImphYmJlcmQtcm91dGVyL3ZtIiwgcmVzcG9uc2U9NDk5ZTFmNTc4NGQ2NWY1ZjhlYjNmZjRhMzgyNWM5YmQsIGNoYXJzZXQ9dXRmLTg=',
    'base64',
  ).toString();
  assert.equal(readDigestResponse(text, offer, 'jabberd-router')?.verify('secret'), 'rspauth=369018ab4e3e437bf60dbb7c29859fae');
});

test('§2.1.2: what is no response to this challenge is none', () => {
  for (const [from, to] of [
    ['OA6MG9tEQGm2hh', 'another'],
    ['realm="elwood.innosoft.com"', 'realm="other"'],
    ['nc=00000001', 'nc=00000002'],
    ['qop=auth', 'qop=auth-int'],
    ['imap/', 'xmpp/'],
    ['username="chris"', 'username=""'],
    ['username="chris"', 'username="chris",username="bob"'],
    ['cnonce="OA6MHXh6VqTrRk"', 'cnonce=""'],
    ['qop=auth', 'qop=auth,authzid="bob"'],
    ['charset=utf-8', 'charset="utf-8'],
    ['charset=utf-8', ';'],
  ] as const)
    assert.equal(readDigestResponse(VECTOR.replace(from, to), IMAP, 'imap'), undefined, to);
  assert.equal(readDigestResponse(Array.from({ length: 40 }, (_, n) => `a${'b'.repeat(n)}=1`).join(), IMAP, 'imap'), undefined);
  assert.equal(readDigestResponse(VECTOR.replace(/response=\w+/, 'response='), IMAP, 'imap')?.verify('secret'), undefined);
});

test('§7.2: quotes inside quotes', () => {
  const text = VECTOR.replace('username="chris"', String.raw`username="ch\"r\\is"`);
  assert.equal(readDigestResponse(text, IMAP, 'imap')?.username, String.raw`ch"r\is`);
});
