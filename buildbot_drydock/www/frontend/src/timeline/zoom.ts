// How much of the past is shown: in the address, so that a link shows the same.
import { useSearchParams } from "react-router-dom";

export const ZOOMS = [1, 6, 24] as const; // hours

/** The hours in the address; an hour, if there are none that can be chosen. */
export function useZoom(): number {
  const [parameters] = useSearchParams();
  const given = Number(parameters.get("hours"));
  return ZOOMS.find((each) => each === given) ?? ZOOMS[0];
}
