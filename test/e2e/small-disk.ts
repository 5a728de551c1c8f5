/** A real file system of a few MiB that a test fills, where the test may mount one (root, on Linux). */
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const PAGE = Buffer.alloc(4096);

export class SmallDisk implements Disposable {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Over the directory, whose files it hides; or in a new one. */
  static mount(mebibytes: number, path = mkdtempSync(join(tmpdir(), 'rookery-disk-'))): SmallDisk {
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m,mode=700`, 'tmpfs', path], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`cannot mount a tmpfs: ${stderr}`);
    return new SmallDisk(path);
  }

  /** Why not, for `skip`; false where it may. */
  static unavailable(): string | false {
    try {
      SmallDisk.mount(1)[Symbol.dispose]();
      return false;
    } catch (error) {
      return (error as Error).message;
    }
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Leaves so many bytes, whole pages of them. */
  fill(leaveBytes = 0): void {
    const file = openSync(this.filler, 'a');
    try {
      while (this.freeBytes - leaveBytes >= PAGE.length && writeSync(file, PAGE) === PAGE.length);
    } finally {
      closeSync(file);
    }
  }

  /** Gives the space back. */
  free(): void {
    rmSync(this.filler, { force: true });
  }

  /** Only while no file on it is open for writing. */
  remount(mode: 'ro' | 'rw'): void {
    const { status, stderr } = spawnSync('mount', ['-o', `remount,${mode}`, this.path], { encoding: 'utf8' });
    if (status !== 0) throw new Error(stderr);
  }

  [Symbol.dispose](): void {
    spawnSync('umount', ['-l', this.path]);
    rmSync(this.path, { recursive: true, force: true });
  }

  private get filler(): string {
    return join(this.path, 'filler');
  }
}
