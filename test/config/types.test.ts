import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  bareAddress,
  bytes,
  count,
  domain,
  duration,
  flag,
  list,
  listenAddress,
  name,
  oneOf,
  optionalPath,
  orOff,
  parseBytes,
  parseDuration,
  path,
  perSecond,
  ports,
  printBytes,
  printDuration,
  printValue,
  rate,
} from '../../src/config/types.ts';
import type { ValueType } from '../../src/config/types.ts';

/** Input, and the value or a part of the reason for refusing it. */
type Case = readonly [input: unknown, outcome: unknown];

const REFUSED = Symbol('refused');
const refused = (reason: string) => ({ [REFUSED]: reason });

const CASES: Record<string, readonly [ValueType<unknown>, readonly Case[]]> = {
  count: [
    count({ min: 2, max: 10 }),
    [
      ['3', 3],
      [10, 10],
      ['1', refused('must be at least 2')],
      [11, refused('must be at most 10')],
      ['3.5', refused('whole number')],
      [Number.NaN, refused('whole number')],
      ['-3', refused('whole number')],
      ['5m', refused('whole number')],
      [true, refused('whole number')],
    ],
  ],
  duration: [
    duration({ min: 1_000 }),
    [
      ['5m', 300_000],
      ['1.5h', 5_400_000],
      ['1000 ms', 1_000],
      ['2w', 1_209_600_000],
      ['999ms', refused('must be at least 1s')],
      ['5', refused('with a unit')],
      [5, refused('with a unit')],
      ['5 minutes', refused('with a unit')],
      [`${'9'.repeat(40)}s`, refused('with a unit')],
    ],
  ],
  bytes: [
    bytes({ max: 1_048_576 }),
    [
      ['256kB', 256_000],
      ['256KiB', 262_144],
      ['1MiB', 1_048_576],
      ['0', 0],
      ['1.5kB', 1_500],
      ['2MiB', refused('must be at most 1MiB')],
      ['256', refused('with a unit')],
      ['256 kilobytes', refused('with a unit')],
    ],
  ],
  rate: [
    rate({ min: 1 }),
    [
      ['10/1h', { count: 10, windowMs: 3_600_000 }],
      ['3/s', { count: 3, windowMs: 1_000 }],
      ['0/s', refused('must be at least 1')],
      ['10', refused('count per time')],
      ['10/0s', refused('count per time')],
    ],
  ],
  perSecond: [
    perSecond(bytes({ min: 1_000, max: 1_000_000 }), '256kB/s'),
    [
      ['256kB/s', 256_000],
      ['1KiB /s', 1_024],
      ['999B/s', refused('must be at least 1kB')],
      ['2MB/s', refused('must be at most 1MB')],
      ['256kB', refused("such as '256kB/s'")],
      ['256/s', refused("a size per second, such as '256kB/s'")],
      [256_000, refused('per second')],
    ],
  ],
  'perSecond or off': [
    orOff(perSecond(count({ min: 1 }), '500/s')),
    [
      ['500/s', 500],
      ['off', 0],
      [0, 0],
      ['0/s', refused('must be at least 1')],
      ['500', refused("such as '500/s', or 'off'")],
    ],
  ],
  name: [
    name(),
    [
      ['slow-2_x', 'slow-2_x'],
      ['Slow', refused('a name')],
      ['', refused('a name')],
      ['2', refused('a name')],
      [5, refused('a name')],
    ],
  ],
  flag: [
    flag(),
    [
      ['on', true],
      [false, false],
      ['no', false],
      ['1', refused('true or false')],
    ],
  ],
  oneOf: [
    oneOf('off', 'open'),
    [
      ['open', 'open'],
      ['Open', refused('off or open')],
      [false, refused('off or open')],
    ],
  ],
  ports: [
    ports(),
    [
      ['5222', [5222]],
      [5222, [5222]],
      ['5222, 5322', [5222, 5322]],
      [[0], [0]],
      ['off', []],
      ['65536', refused("or 'off'")],
      ['', refused("or 'off'")],
    ],
  ],
  orOff: [
    orOff(duration({ min: 1_000 })),
    [
      ['off', 0],
      [0, 0],
      ['1s', 1_000],
      ['5', refused("or 'off'")],
    ],
  ],
  domain: [
    domain(),
    [
      ['Example.ORG.', 'example.org'],
      ['xn--bcher-kva.example', 'bücher.example'],
      ['BÜCHER.example', 'bücher.example'],
      ['127.0.0.1', '127.0.0.1'],
      ['[::1]', '[::1]'],
      ['a..b', refused('a domain name')],
      ['-a.example', refused('a domain name')],
      ['juliet@example.org', refused('a domain name')],
      ['exa mple', refused('a domain name')],
      ['', refused('a domain name')],
    ],
  ],
  bareAddress: [
    bareAddress(),
    [
      ['admin@Example.org', 'admin@example.org'],
      ['admin', refused('without resource')],
      ['admin@example.org/x', refused('without resource')],
      ['@example.org', refused('without resource')],
    ],
  ],
  listenAddress: [
    listenAddress(),
    [
      ['*', '*'],
      ['::1', '::1'],
      ['10.0.0.1', '10.0.0.1'],
      ['localhost', refused('an IP address')],
    ],
  ],
  path: [
    path(),
    [
      ['/var/lib/rookery', '/var/lib/rookery'],
      ['', refused('a path')],
      ['a\0b', refused('a path')],
    ],
  ],
  optionalPath: [
    optionalPath(),
    [
      ['', undefined],
      ['x.pem', 'x.pem'],
      [5, refused('a path')],
    ],
  ],
  list: [
    list(count(), { min: 1 }),
    [
      ['1,2', [1, 2]],
      [7, [7]],
      [
        [1, '2'],
        [1, 2],
      ],
      ['1,x', refused("a whole number (at 'x')")],
      ['1,1', refused('listed twice')],
      [[], refused('needs at least 1')],
    ],
  ],
};

for (const [name, [type, cases]] of Object.entries(CASES)) {
  test(`${name}: takes what is right and says what is wrong with the rest`, () => {
    for (const [input, outcome] of cases) {
      const result = type.schema.safeParse(input);
      if (typeof outcome === 'object' && outcome !== null && REFUSED in outcome) {
        assert.equal(result.success, false, `${String(input)} is taken`);
        assert.match(result.error.issues[0]!.message, new RegExp(escape(outcome[REFUSED] as string)), String(input));
      } else {
        assert.deepEqual(result, { success: true, data: outcome }, String(input));
      }
    }
  });

  test(`${name}: what it writes, it reads back as the same value`, () => {
    for (const [input] of cases) {
      const result = type.schema.safeParse(input);
      if (!result.success || result.data === undefined) continue;
      assert.deepEqual(type.schema.parse(type.write(result.data)), result.data);
      if (!(name === 'list' && printValue(type, result.data) === ''))
        assert.deepEqual(type.schema.parse(printValue(type, result.data)), result.data);
    }
  });
}

function escape(text: string): string {
  return text.replace(/[()]/g, '\\$&');
}

test('durations and sizes: printing and parsing are inverse, for any whole number', () => {
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 31 }), (value) => {
      assert.equal(parseDuration(printDuration(value)), value);
      assert.equal(parseBytes(printBytes(value)), value);
    }),
    { seed: 1 },
  );
});
