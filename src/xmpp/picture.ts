/**
 * What an image says of itself: type and size in pixels, told by its first bytes alone; nothing is decoded, so a few bytes cannot
 * become many. For avatars: XEP-0084 §4.2.1, XEP-0153 §4.1
 */
import { hash } from 'node:crypto';

export type PictureType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp';

export interface Picture {
  readonly type: PictureType;
  /** Pixels; 0 where the format has it elsewhere. */
  readonly width: number;
  readonly height: number;
  readonly bytes: number;
  /** Of the image itself, lower case hexadecimal. XEP-0084 §4.1 */
  readonly sha1: string;
}

export interface PictureJob {
  /** White space is allowed: XEP-0153 §3.1 shows it. */
  readonly base64: string;
  readonly maxBytes: number;
  /** Of either side. */
  readonly maxPixels: number;
}

/** @returns `undefined` for what is no base64, none of the four formats, or larger than allowed. */
export function inspectPicture({ base64, maxBytes, maxPixels }: PictureJob): Picture | undefined {
  const text = base64.replace(/[ \t\r\n]+/g, '');
  if (text.length === 0 || text.length > Math.ceil(maxBytes / 3) * 4 || !/^[A-Za-z0-9+/]+={0,2}$/.test(text)) return undefined;
  const data = Buffer.from(text, 'base64');
  if (data.length > maxBytes) return undefined;
  const found = headOf(data);
  if (found === undefined || found.width > maxPixels || found.height > maxPixels) return undefined;
  return { ...found, bytes: data.length, sha1: hash('sha1', data, 'hex') };
}

type Head = Pick<Picture, 'type' | 'width' | 'height'>;

function headOf(data: Buffer): Head | undefined {
  return png(data) ?? gif(data) ?? webp(data) ?? jpeg(data);
}

/** PNG 3rd edition §5.2, §11.2.1: the header chunk comes first. */
function png(data: Buffer): Head | undefined {
  if (data.length < 24 || data.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n' || data.toString('latin1', 12, 16) !== 'IHDR')
    return undefined;
  return { type: 'image/png', width: data.readUInt32BE(16), height: data.readUInt32BE(20) };
}

/** GIF89a §17, §18. */
function gif(data: Buffer): Head | undefined {
  if (data.length < 10 || !/^GIF8[79]a$/.test(data.toString('latin1', 0, 6))) return undefined;
  return { type: 'image/gif', width: data.readUInt16LE(6), height: data.readUInt16LE(8) };
}

/** RFC 9649 §2.5 to §2.7 */
function webp(data: Buffer): Head | undefined {
  if (data.length < 30 || data.toString('latin1', 0, 4) !== 'RIFF' || data.toString('latin1', 8, 12) !== 'WEBP') return undefined;
  switch (data.toString('latin1', 12, 16)) {
    case 'VP8X':
      return { type: 'image/webp', width: data.readUIntLE(24, 3) + 1, height: data.readUIntLE(27, 3) + 1 };
    case 'VP8 ':
      return { type: 'image/webp', width: data.readUInt16LE(26) & 0x3fff, height: data.readUInt16LE(28) & 0x3fff };
    case 'VP8L': {
      const bits = data.readUInt32LE(21);
      return { type: 'image/webp', width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
    }
    default:
      return undefined;
  }
}

/** ITU T.81 §B.2.2: the frame header is behind other segments. */
function jpeg(data: Buffer): Head | undefined {
  if (data.length < 4 || data.readUInt16BE(0) !== 0xffd8) return undefined;
  for (let at = 2; at + 9 < data.length;) {
    if (data[at] !== 0xff) return undefined;
    const marker = data[at + 1]!;
    if (marker === 0xff) {
      at++; // fill byte: §B.1.1.2
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame) return { type: 'image/jpeg', width: data.readUInt16BE(at + 7), height: data.readUInt16BE(at + 5) };
    if (marker === 0xd9 || marker === 0xda) return undefined;
    at += 2 + data.readUInt16BE(at + 2);
  }
  return undefined;
}
