// How old what is on the screen may be: the banner of a lost connection says so.

interface Dated {
  get: () => { readAt: number | null };
}

const followed = new Set<Dated>();

export const freshness = {
  /** Take a feed into account; returns what ends that. */
  follow(feed: Dated): () => void {
    followed.add(feed);
    return () => followed.delete(feed);
  },

  /** When the oldest of what is shown was read, in milliseconds; null if nothing was. */
  oldest(): number | null {
    const times = [...followed].map((each) => each.get().readAt).filter((time) => time !== null);
    return times.length === 0 ? null : Math.min(...times);
  },
};
