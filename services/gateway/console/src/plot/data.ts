// From the archive's and the stream's points to what is drawn.
import type { History } from '../api/types'
import type { Track } from '../live/ring'

// Points are of one line, ascending, ms since 1970 of the gateway's clock. A NaN is a gap: what lies on both sides of it is not joined.
// width is what a point stands for, ms: the archive's interval where it has joined readings, else the period.
export interface Points { time: number[], min: number[], mean: number[], max: number[], width: number[] }

export const none = (): Points => ({ time: [], min: [], mean: [], max: [], width: [] })

function put (p: Points, t: number, min: number, mean: number, max: number, width: number): void {
  p.time.push(t)
  p.min.push(min)
  p.mean.push(mean)
  p.max.push(max)
  p.width.push(width)
}

const copy = (to: Points, from: Points, i: number): void => put(to, from.time[i]!, from.min[i]!, from.mean[i]!, from.max[i]!, from.width[i]!)

// fromHistory takes a channel's points out of an answer, without the times at which others were measured. shift is what the gateway's
// clock is ahead of that by which they were measured, period the device's, both in ms.
export function fromHistory (h: History | undefined, channel: number | null, shift: number, period: number): Points {
  const p = none()
  const s = h?.series.find(x => channel === null || x.channel === channel)
  if (!h || !s) return p
  const width = h.interval > 0 ? h.interval * 1000 : period
  h.time.forEach((t, i) => {
    const mean = s.mean[i]
    if (mean !== null && mean !== undefined) put(p, t + shift, s.min[i] ?? mean, mean, s.max[i] ?? mean, width)
  })
  return p
}

// endOf is until when an answer has the word, ms: to the end of its last interval, which may not have been over when it was asked.
export function endOf (h: History | undefined, p: Points, shift: number): number {
  const last = p.time.at(-1)
  if (!h || last === undefined) return -Infinity
  const asked = Date.parse(h.to) + shift
  return Math.max(last, Math.min(last + h.interval * 1000, Number.isNaN(asked) ? Infinity : asked))
}

// gapOf is the distance past which a point is not joined with the next, ms. In an interval of several periods there is always something.
export function gapOf (width: number, period: number): number { return width >= 3 * period ? 1.5 * width : 2.5 * Math.max(width, period) }

// paceOf is the usual distance of times, ms, 0 when there are not two.
export function paceOf (time: number[]): number {
  const apart = time.slice(1).map((t, i) => t - time[i]!).sort((a, b) => a - b)
  return apart[Math.floor(apart.length / 2)] ?? 0
}

// merge is the stream's points, and the archive's before them and in their holes, which are longer than `gap`. Up to `until` the archive's have the word.
export function merge (old: Points, live: Track, period: number, gap: number, until = -Infinity): Points {
  const p = none()
  let o = 0
  let last = -Infinity
  const archive = (before: number) => {
    for (; o < old.time.length && old.time[o]! < before; o++) if (old.time[o]! > last) copy(p, old, o)
  }
  for (let i = 0; i < live.time.length; i++) {
    const t = live.time[i]!
    if (t <= until) continue
    if (t - last > gap) archive(t)
    put(p, t, live.value[i]!, live.value[i]!, live.value[i]!, period)
    last = t
  }
  archive(Infinity)
  return p
}

// withGaps puts a gap between points that are too far apart, and leaves out what is not between from and to.
export function withGaps (p: Points, period: number, from = -Infinity, to = Infinity): Points {
  const q = none()
  p.time.forEach((t, i) => {
    if (t < from || t > to) return
    const last = q.time.at(-1)
    const gap = gapOf(Math.max(p.width[i]!, q.width.at(-1) ?? 0), period)
    if (last !== undefined && t - last > gap) put(q, (last + t) / 2, NaN, NaN, NaN, 0)
    copy(q, p, i)
  })
  return q
}

type Column = Array<number | null | undefined>

// align puts lines side by side on common times: in s, then mean, min and max of each. null is a gap, undefined "not measured at this time", which is drawn over.
export function align (lines: Points[], log: boolean): [number[], ...Column[]] {
  const times = [...new Set(lines.flatMap(l => l.time))].sort((a, b) => a - b)
  const at = new Map(times.map((t, i) => [t, i]))
  const columns: Column[] = []
  for (const l of lines) {
    const column = (): Column => new Array<undefined>(times.length).fill(undefined)
    const three: [Column, Column, Column] = [column(), column(), column()]
    l.time.forEach((t, i) => {
      const k = at.get(t)!
      const [mean, min, max] = [l.mean[i]!, l.min[i]!, l.max[i]!].map(v => drawn(v, log)) as [number | null, number | null, number | null]
      three[0][k] = mean
      three[1][k] = min !== null && max !== null ? Math.min(min, max) : mean
      three[2][k] = min !== null && max !== null ? Math.max(min, max) : mean
    })
    columns.push(...three)
  }
  return [times.map(t => t / 1000), ...columns]
}

// drawn is |v| on a logarithmic scale, where 0 has no place.
function drawn (v: number, log: boolean): number | null {
  if (!Number.isFinite(v)) return null
  if (!log) return v
  return v === 0 ? null : Math.abs(v)
}

export interface Last { at: number, value: number }

// lastOf is the newest value between from and to: the stream's, where it is newer than the archive's last interval began.
export function lastOf (p: Points, live: Track, from: number, to: number): Last | null {
  let last: Last | null = null
  const look = (time: number[], value: number[]) => {
    let i = time.length - 1
    while (i >= 0 && (time[i]! > to || !Number.isFinite(value[i]!))) i--
    if (i >= 0 && time[i]! >= Math.max(from, last?.at ?? -Infinity)) last = { at: time[i]!, value: value[i]! }
  }
  look(p.time, p.mean)
  look(live.time, live.value)
  return last
}

export interface Stats { min: number, mean: number, max: number }

// statsOf are a line's numbers between from and to; null when it has none. A value counts for as long as it stood: up to the next one, or
// for the point's width where a gap follows.
export function statsOf (p: Points, from = -Infinity, to = Infinity): Stats | null {
  const s = { min: Infinity, max: -Infinity }
  let whole = 0
  let mean = 0
  p.time.forEach((t, i) => {
    if (!Number.isFinite(p.mean[i]!)) return
    const next = Number.isFinite(p.mean[i + 1] ?? NaN) ? p.time[i + 1]! : t + p.width[i]!
    const stood = Math.min(next, to) - Math.max(t, from)
    if (!(stood > 0)) return
    whole += stood
    mean += (p.mean[i]! - mean) * stood / whole
    s.min = Math.min(s.min, p.min[i]!)
    s.max = Math.max(s.max, p.max[i]!)
  })
  return whole > 0 ? { ...s, mean } : null
}

// nearest is a line's value at the point closest to a time, undefined in gaps.
export function nearest (p: Points, time: number): number | undefined {
  let best = -1
  for (let i = 0; i < p.time.length; i++) {
    if (best < 0 || Math.abs(p.time[i]! - time) < Math.abs(p.time[best]! - time)) best = i
  }
  const v = p.mean[best]
  return v === undefined || !Number.isFinite(v) ? undefined : v
}
