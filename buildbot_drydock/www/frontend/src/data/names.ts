// Buildbot's pages of workers and builders go by number; our rows have names.

import { useEffect, useState } from "react";
import { readPage } from "./rest";

type Numbers = ReadonlyMap<string, number>;

const KEPT = 30_000; // milliseconds; a name that is not known is looked up again after that

class Directory {
  private asked: Promise<Numbers> | null = null;
  private askedAt = 0;

  constructor(
    private readonly collection: string,
    private readonly field: string,
  ) {}

  async numberOf(name: string): Promise<number | null> {
    const found = (await this.numbers(false)).get(name);
    return found ?? (await this.numbers(true)).get(name) ?? null;
  }

  private numbers(isStale: boolean): Promise<Numbers> {
    if (this.asked === null || (isStale && Date.now() - this.askedAt > KEPT)) {
      this.askedAt = Date.now();
      this.asked = this.read().catch(() => {
        this.asked = null;
        return new Map<string, number>();
      });
    }
    return this.asked;
  }

  private async read(): Promise<Numbers> {
    const query = { field: [this.field, "name"] };
    const { rows } = await readPage<Record<string, string | number>>(this.collection, query);
    return new Map(rows.map((row) => [String(row["name"]), Number(row[this.field])]));
  }
}

const workers = new Directory("workers", "workerid");
const builders = new Directory("builders", "builderid");

export const useWorkerNumber = (name: string | null) => useNumber(workers, name);
export const useBuilderNumber = (name: string | null) => useNumber(builders, name);

function useNumber(directory: Directory, name: string | null): number | null {
  const [found, setFound] = useState<{ name: string; number: number | null } | null>(null);
  useEffect(() => {
    let isWanted = true;
    if (name !== null) {
      void directory.numberOf(name).then((number) => {
        if (isWanted) setFound({ name, number });
      });
    }
    return () => {
      isWanted = false;
    };
  }, [directory, name]);
  return found?.name === name ? found.number : null;
}
