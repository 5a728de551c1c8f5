import type { CastOfClients, Client } from '../harness/cast.ts';
import { transcript, type TranscriptOptions } from '../harness/transcript.ts';
import { asks, error } from './pubsub-scenes.ts';

const SEARCH = 'jabber:iq:search';
const OURS = { onlyOurs: 'others list everybody, or need a directory of their own' };

type Play = (cast: CastOfClients & { readonly directory: string }) => Promise<void>;

function scene(title: string, options: TranscriptOptions, play: Play): void {
  transcript(title, options, (cast) => play(Object.assign(cast, { directory: `search.${cast.domain}` })));
}

const query = (inner = ''): string => `<query xmlns='${SEARCH}'>${inner}</query>`;
const entry = (client: Client, first: string, last: string, nick = '', email = ''): string =>
  `<item jid='${client.bare}'><first>${first}</first><last>${last}</last><nick>${nick}</nick><email>${email}</email></item>`;

async function saysOfItself(client: Client, first: string, last: string, more = '<CLASS><PUBLIC/></CLASS>'): Promise<void> {
  await asks(
    client,
    'vc',
    'set',
    '',
    `<vCard xmlns='vcard-temp'><N><FAMILY>${last}</FAMILY><GIVEN>${first}</GIVEN></N>${more}</vCard>`,
    '',
  );
  await client.sync();
}

scene('XEP-0055 §2.1: which fields can be searched', OURS, async ({ romeo, directory }) => {
  await asks(
    romeo,
    's1',
    'get',
    directory,
    query(),
    `<query xmlns='${SEARCH}'><instructions>{any}</instructions><first/><last/><nick/><email/><x xmlns='jabber:x:data' type='form'>{any}</x></query>`,
  );
});

scene('XEP-0055 §2.1: who wants to be found is found, by how fields begin', OURS, async ({ romeo, juliet, tybalt, directory }) => {
  await saysOfItself(
    juliet,
    'Juliét',
    'Capulet',
    '<NICKNAME>JuliC</NICKNAME><EMAIL><USERID>j@x.lit</USERID></EMAIL><CLASS><PUBLIC/></CLASS>',
  );
  await saysOfItself(tybalt, 'Tybalt', 'Capulet');
  await asks(
    romeo,
    's1',
    'set',
    directory,
    query('<last>capu</last>'),
    query(entry(juliet, 'Juliét', 'Capulet', 'JuliC', 'j@x.lit') + entry(tybalt, 'Tybalt', 'Capulet')),
  );
  await asks(
    romeo,
    's2',
    'set',
    directory,
    query('<last>Capulet</last><first>juliet*</first>'),
    query(entry(juliet, 'Juliét', 'Capulet', 'JuliC', 'j@x.lit')),
  );
  await asks(romeo, 's3', 'set', directory, query('<last>Montague</last>'), query());
});

scene(
  'XEP-0055 §6: who does not say so is not listed, and everybody at once is not told',
  OURS,
  async ({ romeo, juliet, tybalt, directory }) => {
    await saysOfItself(juliet, 'Juliet', 'Capulet', '');
    await saysOfItself(tybalt, 'Tybalt', 'Capulet', '<CLASS><PRIVATE/></CLASS>');
    await asks(romeo, 's1', 'set', directory, query('<last>Capulet</last>'), query());
    await saysOfItself(juliet, 'Juliet', 'Capulet');
    for (const everybody of ['', '<last/>', '<last>*</last>']) await asks(romeo, 's2', 'set', directory, query(everybody), query());
    await saysOfItself(juliet, 'Juliet', 'Capulet', '');
    await asks(romeo, 's3', 'set', directory, query('<last>Capulet</last>'), query());
  },
);

scene(
  'XEP-0055 §6: all but those who do not want it',
  { modules: { search: { list: 'all', max_results: 1 } } },
  async ({ romeo, juliet, tybalt, directory }) => {
    await saysOfItself(juliet, 'Juliet', 'Capulet', '');
    await saysOfItself(tybalt, 'Tybalt', 'Capulet', '<CLASS><CONFIDENTIAL/></CLASS>');
    await saysOfItself(romeo, 'Romeo', 'Capulet', '');
    await asks(romeo, 's1', 'set', directory, query('<last>Capulet</last>'), query(entry(juliet, 'Juliet', 'Capulet')));
  },
);

scene('XEP-0055 §3: by form', OURS, async ({ romeo, juliet, directory }) => {
  await saysOfItself(juliet, 'Juliet', 'Capulet');
  const asked = `<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE' type='hidden'><value>${SEARCH}</value></field><field var='last'><value>Cap</value></field></x>`;
  await asks(
    romeo,
    's1',
    'set',
    directory,
    query(asked),
    query(`<x xmlns='jabber:x:data' type='result'>
      <field var='FORM_TYPE' type='hidden'><value>${SEARCH}</value></field>
      <reported>{any}</reported>
      <item><field var='jid'><value>${juliet.bare}</value></field><field var='first'><value>Juliet</value></field><field var='last'><value>Capulet</value></field><field var='nick'><value/></field><field var='email'><value/></field></item>
    </x>`),
  );
  await asks(romeo, 's2', 'set', directory, query(`<x xmlns='jabber:x:data' type='form'/>`), error('bad-request'));
});

scene('a client cannot say who is listed', OURS, async ({ romeo, tybalt, directory }) => {
  await tybalt.sends(`<message to='${directory}' id='m1'><entry xmlns='urn:rookery:directory:0'><last>Montague</last></entry></message>`);
  await tybalt.receives(`<message type='error' id='m1' from='${directory}'>${error('service-unavailable')}</message>`);
  await asks(romeo, 's1', 'set', directory, query('<last>Montague</last>'), query());
});

scene('who is gone is not found; who is there survives a restart', { onlyOurs: 'needs a server that can be restarted' }, async (cast) => {
  const { juliet, tybalt } = cast;
  await saysOfItself(juliet, 'Juliet', 'Capulet');
  await saysOfItself(tybalt, 'Tybalt', 'Capulet');
  await cast.memory.removeAccount(tybalt.local, '');
  const again = await cast.restarted();
  await asks(again.romeo, 's1', 'set', cast.directory, query('<last>Capulet</last>'), query(entry(juliet, 'Juliet', 'Capulet')));
});
