// Where everything is on the timeline: a row for each resource, with as many lanes as it needs for
// the leases that were on it at once. Pure; all times are seconds since the epoch.

import type { Lease, Resource } from "../data/rows";
import { isAtRest } from "../words/statuses";

export interface Span {
  from: number;
  to: number;
}

export interface Bar extends Span {
  lease: Lease;
  lane: number;
  isOpen: boolean; // it goes on
}

export interface Row {
  resource: Resource;
  life: Span; // from its request until it was destroyed, or now
  bootedAt: number | null; // when it became active, if that is known
  rest: Span | null; // since when it has been parked; earlier times are not known
  isOpen: boolean;
  bars: readonly Bar[];
  lanes: number;
  busy: number; // which part of its slots' time in the window was leased, from 0 to 1
}

export interface Group {
  blueprint: string;
  rows: readonly Row[];
}

export interface Timeline {
  window: Span;
  groups: readonly Group[];
  hidden: number; // rows beyond the most that are shown
  waits: readonly Step[];
}

/** How many leases waited from `at` on, until the next step. */
export interface Step {
  at: number;
  count: number;
}

const ENDED = "destroyed";

export interface Known {
  resources: readonly Resource[];
  leases: readonly Lease[];
  slots: ReadonlyMap<string, number>; // leases at once on each resource, by blueprint
}

/** Lay out what overlaps the window; of more than *mostRows* resources, the newest. */
export function layOut(known: Known, window: Span, mostRows: number): Timeline {
  const leases = groupedBy(known.leases, (each) => each.resourceid);
  const seen = known.resources.filter((each) => overlaps(lifeOf(each, window.to), window));
  const shown = [...seen].sort(livingAndNewestFirst).slice(0, mostRows);
  const rows = shown.map((each) => {
    const slots = known.slots.get(each.blueprint) ?? 1;
    return rowOf(each, leases.get(each.resourceid) ?? [], slots, window);
  });
  const groups = [...groupedBy(rows, (row) => row.resource.blueprint)]
    .map(([blueprint, some]) => ({ blueprint, rows: [...some].sort(byName) }))
    .sort((one, other) => one.blueprint.localeCompare(other.blueprint));
  const hidden = seen.length - shown.length;
  return { window, groups, hidden, waits: waitsOf(known.leases, window) };
}

function livingAndNewestFirst(one: Resource, other: Resource): number {
  const living = Number(one.status === ENDED) - Number(other.status === ENDED);
  return living || other.resourceid - one.resourceid;
}

/** Listed hosts by name, as on their list; others by number. */
function byName(one: Row, other: Row): number {
  const [its, theirs] = [one.resource, other.resource];
  const order = (its.host ?? "").localeCompare(theirs.host ?? "", undefined, { numeric: true });
  return order || its.resourceid - theirs.resourceid;
}

function lifeOf(resource: Resource, now: number): Span {
  const to = resource.status === ENDED ? resource.since : now;
  return { from: resource.created_at, to: Math.max(resource.created_at, to) };
}

function rowOf(
  resource: Resource,
  leases: readonly Lease[],
  slots: number,
  window: Span,
): Row {
  const life = lifeOf(resource, window.to);
  const bars = inLanes(leases.flatMap((lease) => barOf(lease, window)));
  const lanes = bars.reduce((most, bar) => Math.max(most, bar.lane + 1), 1);
  return {
    resource,
    life: within(life, window),
    bootedAt: resource.status === "active" ? resource.since : null,
    rest: restOf(resource, window),
    isOpen: resource.status !== ENDED,
    bars,
    lanes,
    busy: busyPart(bars, within(life, window), Math.max(slots, lanes)),
  };
}

function restOf(resource: Resource, window: Span): Span | null {
  const { power_since: from } = resource;
  return isAtRest(resource) && from !== null ? within({ from, to: window.to }, window) : null;
}

function barOf(lease: Lease, window: Span): Omit<Bar, "lane">[] {
  if (lease.held_since === null) return [];
  const isOpen = lease.status !== ENDED;
  const span = { from: lease.held_since, to: isOpen ? window.to : lease.since };
  return overlaps(span, window) ? [{ ...within(span, window), lease, isOpen }] : [];
}

/** Give each bar the first lane that is free when it begins. */
function inLanes(bars: readonly Omit<Bar, "lane">[]): Bar[] {
  const ends: number[] = [];
  return [...bars]
    .sort((one, other) => one.from - other.from || one.lease.leaseid - other.lease.leaseid)
    .map((bar) => {
      const free = ends.findIndex((end) => end <= bar.from);
      const lane = free === -1 ? ends.length : free;
      ends[lane] = bar.to;
      return { ...bar, lane };
    });
}

function busyPart(bars: readonly Bar[], life: Span, slots: number): number {
  const there = (life.to - life.from) * slots;
  const leased = bars.reduce((sum, bar) => sum + bar.to - bar.from, 0);
  return there > 0 ? Math.min(1, leased / there) : 0;
}

/** How many leases waited when: changes of the count, from the window's begin on. */
export function waitsOf(leases: readonly Lease[], window: Span): Step[] {
  const changes = new Map<number, number>([[window.from, 0]]);
  const change = (at: number, by: number) => changes.set(at, (changes.get(at) ?? 0) + by);
  for (const lease of leases) {
    const span = waitOf(lease, window.to);
    if (!overlaps(span, window)) continue;
    change(Math.max(span.from, window.from), 1);
    if (span.to < window.to) change(span.to, -1);
  }
  let count = 0;
  return [...changes]
    .sort(([one], [other]) => one - other)
    .map(([at, by]) => ({ at, count: (count += by) }));
}

/** From its request until it got a slot, or ended without, or now. */
export function waitOf(lease: Lease, now: number): Span {
  const ended = lease.status === "pending" ? now : lease.since;
  const to = lease.held_since ?? ended;
  return { from: lease.requested_at, to: Math.max(lease.requested_at, to) };
}

/** Times for marks in the window: round ones, about eight. */
export function marksOf(window: Span): number[] {
  const step = (window.to - window.from) / 8;
  const size = [300, 600, 900, 1800, 3600, 7200, 10_800, 21_600].find((each) => each >= step);
  if (size === undefined) return [];
  // Full hours where the visitor is, even if his time zone is off by half an hour.
  const offset = new Date(window.from * 1000).getTimezoneOffset() * 60;
  const first = Math.ceil((window.from - offset) / size) * size + offset;
  const marks: number[] = [];
  for (let at = first; at < window.to; at += size) marks.push(at);
  return marks;
}

/** Where a time is in the window, from 0 to 1. */
export function position(at: number, window: Span): number {
  return (at - window.from) / (window.to - window.from);
}

function overlaps(span: Span, window: Span): boolean {
  return span.to >= window.from && span.from < window.to;
}

function within(span: Span, window: Span): Span {
  return { from: Math.max(span.from, window.from), to: Math.min(span.to, window.to) };
}

function groupedBy<Key, Each>(
  all: readonly Each[],
  keyOf: (each: Each) => Key,
): Map<Key, Each[]> {
  const found = new Map<Key, Each[]>();
  for (const each of all) {
    const key = keyOf(each);
    const group = found.get(key);
    if (group === undefined) found.set(key, [each]);
    else group.push(each);
  }
  return found;
}
