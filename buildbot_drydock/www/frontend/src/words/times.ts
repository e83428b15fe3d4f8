// Times in words. All are seconds since the epoch, and durations in seconds.

const UNITS: readonly [string, number][] = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
  ["s", 1],
];

/** A duration by its two greatest units: `2 h 5 min`. */
export function duration(seconds: number): string {
  let rest = Math.max(0, Math.round(seconds));
  const first = UNITS.findIndex(([, size]) => rest >= size);
  if (first === -1) return "0 s";
  const parts: string[] = [];
  for (const [unit, size] of UNITS.slice(first, first + 2)) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count} ${unit}`);
  }
  return parts.join(" ");
}

/** How long ago something was, or in how long it will be. */
export function relative(time: number, now: number): string {
  const past = now - time;
  if (Math.abs(past) < 1) return "now";
  return past > 0 ? `${duration(past)} ago` : `in ${duration(-past)}`;
}

/** A time of day, as the visitor's language has it. */
export function clockTime(time: number): string {
  return new Date(time * 1000).toLocaleTimeString();
}

/** Date and time, as the visitor's language has them. */
export function dateTime(time: number): string {
  return new Date(time * 1000).toLocaleString();
}
