// From the archive's and the stream's points to what is drawn.
import type { History } from '../api/types'
import type { Track } from '../live/ring'

// Points are of one line, ascending, ms since 1970 here. A NaN is a gap: what lies on both sides of it is not joined.
export interface Points { time: number[], min: number[], mean: number[], max: number[] }

export const none = (): Points => ({ time: [], min: [], mean: [], max: [] })

function put (p: Points, t: number, min: number, mean: number, max: number): void {
  p.time.push(t)
  p.min.push(min)
  p.mean.push(mean)
  p.max.push(max)
}

// fromHistory takes a channel's points out of an answer, without the times at which others were measured.
export function fromHistory (h: History | undefined, channel: number | null, offset = 0): Points {
  const p = none()
  const s = h?.series.find(x => channel === null || x.channel === channel)
  if (!h || !s) return p
  h.time.forEach((t, i) => {
    const mean = s.mean[i]
    if (mean !== null && mean !== undefined) put(p, t + offset, s.min[i] ?? mean, mean, s.max[i] ?? mean)
  })
  return p
}

// gapOf is the distance past which two points are not joined, ms.
export function gapOf (interval: number, period: number): number { return 2.5 * Math.max(interval, period) * 1000 }

// merge is the stream's points, and the archive's before them and in their holes. With `until` the archive's have the word up to there.
export function merge (old: Points, live: Track, gap: number, until = -Infinity): Points {
  const p = none()
  let o = 0
  let last = -Infinity
  const archive = (before: number) => {
    for (; o < old.time.length && old.time[o]! < before; o++) {
      if (old.time[o]! > last) put(p, old.time[o]!, old.min[o]!, old.mean[o]!, old.max[o]!)
    }
  }
  for (let i = 0; i < live.time.length; i++) {
    const t = live.time[i]!
    if (t <= until) continue
    if (t - last > gap) archive(t)
    put(p, t, live.value[i]!, live.value[i]!, live.value[i]!)
    last = t
  }
  archive(Infinity)
  return p
}

// withGaps puts a gap between points that are further apart than `gap`, and leaves out what is not between from and to.
export function withGaps (p: Points, gap: number, from = -Infinity, to = Infinity): Points {
  const q = none()
  p.time.forEach((t, i) => {
    if (t < from || t > to) return
    const last = q.time.at(-1)
    if (last !== undefined && t - last > gap) put(q, (last + t) / 2, NaN, NaN, NaN)
    put(q, t, p.min[i]!, p.mean[i]!, p.max[i]!)
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

export interface Stats { last: number, at: number, min: number, mean: number, max: number }

// statsOf are a line's numbers; null when it has none.
export function statsOf (p: Points): Stats | null {
  let s: Stats | null = null
  let n = 0
  p.time.forEach((t, i) => {
    const mean = p.mean[i]!
    if (!Number.isFinite(mean)) return
    s ??= { last: mean, at: t, min: Infinity, mean: 0, max: -Infinity }
    n++
    s = { last: mean, at: t, min: Math.min(s.min, p.min[i]!), mean: s.mean + (mean - s.mean) / n, max: Math.max(s.max, p.max[i]!) }
  })
  return s
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
