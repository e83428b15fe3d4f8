// Counts in words.

const MOST_COUNTED = 10_000; // the data API counts no further

export function total(count: number | null): string {
  if (count === null) return "";
  return count > MOST_COUNTED ? "more than 10,000" : count.toLocaleString("en");
}

/** `1 lease`, `2 leases`. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

/** `2 active, 1 pending`, of what there is; what is parked is counted apart from what runs. */
export function byStatus(counts: Readonly<Record<string, number>>, parked = 0): string {
  const all = { ...counts, active: (counts["active"] ?? 0) - parked, parked };
  const found = Object.entries(all).filter(([, count]) => count > 0);
  return found.map(([status, count]) => `${count} ${status}`).join(", ");
}
