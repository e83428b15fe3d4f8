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

/** `2 active, 1 pending`, of what there is. */
export function byStatus(counts: Readonly<Record<string, number>>): string {
  const found = Object.entries(counts).filter(([, count]) => count > 0);
  return found.map(([status, count]) => `${count} ${status}`).join(", ");
}
