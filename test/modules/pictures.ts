/** Images for transcripts: as small as they can be. */
import { createHash } from 'node:crypto';

export interface TestPicture {
  readonly base64: string;
  readonly sha1: string;
  readonly bytes: number;
}

/** The header of a PNG of 64 by 64 pixels; each number gives another one. */
export function picture(number: number): TestPicture {
  const data = Buffer.concat([
    Buffer.from('\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR', 'latin1'),
    Buffer.from([0, 0, 0, 64, 0, 0, 0, 64, 8, 6, 0, 0, 0, number]),
  ]);
  return { base64: data.toString('base64'), sha1: createHash('sha1').update(data).digest('hex'), bytes: data.length };
}
