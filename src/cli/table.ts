/** Text for people: columns, sizes, times. */
import { printable } from './io.ts';

/** Numbers stand right, everything else left. */
export interface Column<Row> {
  readonly title: string;
  readonly value: (row: Row) => string | number;
}

/** Rows under their titles, columns two spaces apart, no line ending in white space. */
export function renderTable<Row>(columns: readonly Column<Row>[], rows: readonly Row[]): string[] {
  const cells = rows.map((row) => columns.map(({ value }) => value(row)));
  const texts = cells.map((line) => line.map((cell) => printable(String(cell))));
  const widths = columns.map(({ title }, index) => Math.max(title.length, ...texts.map((line) => width(line[index]!))));
  const isNumeric = columns.map((_, index) => cells.length > 0 && cells.every((line) => typeof line[index] === 'number'));
  const layOut = (line: readonly string[]) =>
    line
      .map((text, index) =>
        isNumeric[index] ? ' '.repeat(widths[index]! - width(text)) + text : text + ' '.repeat(widths[index]! - width(text)),
      )
      .join('  ')
      .trimEnd();
  return [layOut(columns.map(({ title }) => title)), ...texts.map(layOut)];
}

/** In code points: near enough for names, and independent of the terminal. */
function width(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** `1536` → `'1.5 KiB'`. */
export function humanBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1_024 && unit < units.length - 1) {
    value /= 1_024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

/** `93784000` → `'1d 2h'`: the two largest units. */
export function humanDuration(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const parts: [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor(seconds / 3_600) % 24, 'h'],
    [Math.floor(seconds / 60) % 60, 'm'],
    [seconds % 60, 's'],
  ];
  const first = parts.findIndex(([value]) => value > 0);
  if (first === -1) return '0s';
  return parts
    .slice(first, first + 2)
    .filter(([value]) => value > 0)
    .map(([value, unit]) => `${value}${unit}`)
    .join(' ');
}

/** UTC to the second, as ISO 8601. */
export function humanTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}
