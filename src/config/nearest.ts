/** The names an operator may have meant. */
import { closest, distance } from 'fastest-levenshtein';

/** The known name nearest to `wrong`, if a third of it or less is mistyped. Cost: O(names × length²); for error messages only. */
export function nearestName(wrong: string, known: readonly string[]): string | undefined {
  if (known.length === 0 || wrong.length > 200) return undefined;
  const best = closest(wrong, known);
  return distance(wrong, best) <= Math.max(2, Math.ceil(best.length / 3)) ? best : undefined;
}
