/** Accounts asked at a time when listing. */
export const LISTING_WIDTH = 32;

/** `work` for each item, a few at a time; results in the order of the items. */
export async function inChunks<T, R>(items: readonly T[], work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = [];
  for (let i = 0; i < items.length; i += LISTING_WIDTH) results.push(...(await Promise.all(items.slice(i, i + LISTING_WIDTH).map(work))));
  return results;
}
