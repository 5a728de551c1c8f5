import { pbkdf2Sync } from 'node:crypto';

export function hash({ password, iterations }: { password: string; iterations: number }): number {
  return pbkdf2Sync(password, 'salt', iterations, 32, 'sha256').length;
}
