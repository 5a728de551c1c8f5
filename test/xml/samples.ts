/** Streams that every cut is tried on: something of everything, legal and not. */
import { HEADER } from './reading.ts';

export interface Sample {
  readonly name: string;
  readonly bytes: Buffer;
}

function sample(name: string, text: string): Sample {
  return { name, bytes: Buffer.from(text) };
}

export const SAMPLES: readonly Sample[] = [
  sample(
    'a short life',
    `<?xml version='1.0'?>${HEADER}<message to='juliet@capulet.lit/balcony' id='1' type='chat'><body>Wherefore?</body><active xmlns='http://jabber.org/protocol/chatstates'/></message></stream:stream>`,
  ),
  sample(
    'keep-alives and white space',
    `${HEADER} \n\t\r\n<presence/>  <iq type='get' id='a'><ping xmlns='urn:xmpp:ping'/></iq>\n</stream:stream>\n`,
  ),
  sample(
    'white space inside of tags',
    `${HEADER}<message\n\tto = 'a@b'\r\n  id\n=\n"x"\r><body\n>t</body\r\n></message\t></stream:stream >`,
  ),
  sample(
    'text beyond ASCII',
    `${HEADER}<message to='été@capulet.lit'><body>Ünïcödé я 日本語 😀 \u{10ffff}</body></message><日本 é='ñ'/></stream:stream>`,
  ),
  sample('references', `${HEADER}<a b='&lt;&amp;&quot;&apos;&gt;&#65;&#x1F600;&#10;'>&amp;lt; &#000065;&#xe9;</a></stream:stream>`),
  sample('CDATA', `${HEADER}<a><![CDATA[<b>&amp;]]]]><![CDATA[>]]></a><a><![CDATA[]]></a></stream:stream>`),
  sample('line ends', `${HEADER}<a b='1\r\n2\r3\n4\t5'>x\r\ny\rz</a></stream:stream>`),
  sample(
    'prefixes',
    `${HEADER}<c:x xmlns:c='urn:c' c:y='1' xml:lang='en'><c:z/><d:w xmlns:d='urn:d' d:v='2'><c:u/></d:w></c:x></stream:stream>`,
  ),
  sample(
    'another prefix for the stream',
    `<s:stream xmlns='jabber:server' xmlns:s='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback'><db:result>k</db:result><s:error/></s:stream>`,
  ),
  sample('no prefix for the stream', `<stream xmlns='http://etherx.jabber.org/streams'><message xmlns='jabber:client'/></stream>`),
  sample('an empty stream', `<stream:stream xmlns:stream='http://etherx.jabber.org/streams'/>`),
  sample('a comment', `${HEADER}<a><!-- --></a>`),
  sample('a processing instruction', `${HEADER}<a/><?p i?>`),
  sample('an undefined entity', `${HEADER}<a>&nbsp;</a>`),
  sample('a wrong end tag', `${HEADER}<a><b></a></b>`),
  sample('an unbound prefix', `${HEADER}<a><b:c/></a>`),
  sample('an attribute twice', `${HEADER}<a b='1' c='2' b='3'/>`),
  sample('a section end in text', `${HEADER}<a>x]]>y</a>`),
  { name: 'broken UTF-8', bytes: Buffer.concat([Buffer.from(`${HEADER}<a>é`), Buffer.from([0xe2, 0x28, 0xa1]), Buffer.from('</a>')]) },
  {
    name: 'a surrogate in UTF-8',
    bytes: Buffer.concat([Buffer.from(`${HEADER}<a b='`), Buffer.from([0xed, 0xa0, 0x80]), Buffer.from(`'/>`)]),
  },
  sample('text between elements', `${HEADER}<a/>x<b/>`),
  sample('data after the end', `${HEADER}</stream:stream><a/>`),
];
