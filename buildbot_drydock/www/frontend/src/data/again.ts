// Reading again now and then what nobody tells of.

import { useEffect } from "react";

/** Call *refresh* every so many *milliseconds*, while that is needed and somebody looks. */
export function useAgain(refresh: () => void, milliseconds: number, isNeeded: boolean): void {
  useEffect(() => {
    if (!isNeeded) return undefined;
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") refresh();
    }, milliseconds);
    return () => clearInterval(timer);
  }, [refresh, milliseconds, isNeeded]);
}
