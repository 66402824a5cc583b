// S-curves in a table: a row a channel with the hits at each threshold in columns n_559, n_560, …, or a row for each channel and threshold.
import type { Column, Table } from './csv'

export interface SCurves {
  // x are the thresholds, ascending; hits[i][k] are those of channel i at x[k], NaN where there is none.
  x: number[]
  hits: number[][]
  channel: number[] // as in the file, else from 0
  chip: number[] | null
  threshold: number[] | null // fitted, NaN of a dead channel
  noise: number[] | null
  falling: boolean // a higher threshold means fewer hits
  top: number // the most hits, as those of all events or 1
}

const byNames = (table: Table, ...names: string[]): Column | undefined =>
  names.map((n) => table.columns.find((c) => c.name.toLowerCase() === n)).find((c) => c !== undefined)

export const channelColumn = (t: Table): Column | undefined => byNames(t, 'channel', 'ch', 'strip', 'pixel')
export const chipColumn = (t: Table): Column | undefined => byNames(t, 'chip', 'roc', 'cbc', 'asic', 'fe')

// sCurves finds the S-curves of a table; null if it has none.
export function sCurves (table: Table): SCurves | null {
  return wide(table) ?? long(table)
}

const numbered = /^([A-Za-z]+)[_@]?(-?\d+(?:\.\d+)?)$/

function wide (table: Table): SCurves | null {
  const groups = new Map<string, { x: number; column: Column }[]>()
  for (const column of table.columns) {
    const m = numbered.exec(column.name)
    if (!m?.[1] || !m[2]) continue
    const group = groups.get(m[1]) ?? []
    group.push({ x: Number(m[2]), column })
    groups.set(m[1], group)
  }
  const points = [...groups.values()].sort((a, b) => b.length - a.length)[0]
  if (!points || points.length < 4 || table.rows === 0) return null
  points.sort((a, b) => a.x - b.x)
  if (points.some((p, i) => i > 0 && p.x === points[i - 1]?.x)) return null
  const rows = Array.from({ length: table.rows }, (_, i) => i)
  return finish({
    x: points.map((p) => p.x),
    hits: rows.map((i) => points.map((p) => p.column.numbers[i] ?? Number.NaN)),
    channel: channelColumn(table)?.numbers ?? rows,
    chip: chipColumn(table)?.numbers ?? null,
    threshold: byNames(table, 'threshold', 'vt', 'vt50', 'vcth', 'pedestal')?.numbers ?? null,
    noise: byNames(table, 'noise', 'sigma', 'width')?.numbers ?? null,
  })
}

function long (table: Table): SCurves | null {
  const channel = channelColumn(table)
  const at = byNames(table, 'vcth', 'threshold', 'dac', 'vcal', 'x')
  const hits = byNames(table, 'hits', 'n', 'count', 'counts', 'occupancy', 'efficiency', 'y')
  if (!channel || !at || !hits || table.rows < 4) return null
  const chip = chipColumn(table)
  const x = [...new Set(at.numbers.filter((v) => !Number.isNaN(v)))].sort((a, b) => a - b)
  const place = new Map(x.map((v, k) => [v, k]))
  const curves = new Map<string, { channel: number; chip: number; hits: number[] }>()
  for (let i = 0; i < table.rows; i++) {
    const k = place.get(at.numbers[i] ?? Number.NaN)
    const of = { channel: channel.numbers[i] ?? Number.NaN, chip: chip?.numbers[i] ?? Number.NaN }
    if (k === undefined || Number.isNaN(of.channel)) continue
    const key = `${of.chip}/${of.channel}`
    const curve = curves.get(key) ?? { ...of, hits: x.map(() => Number.NaN) }
    curve.hits[k] = hits.numbers[i] ?? Number.NaN
    curves.set(key, curve)
  }
  const all = [...curves.values()]
  if (x.length < 4 || all.length === 0 || all.length > table.rows / 2) return null
  return finish({
    x,
    hits: all.map((c) => c.hits),
    channel: all.map((c) => c.channel),
    chip: chip ? all.map((c) => c.chip) : null,
    threshold: null,
    noise: null,
  })
}

function finish (s: Omit<SCurves, 'falling' | 'top'>): SCurves {
  let low = 0
  let high = 0
  let top = 0
  for (const curve of s.hits) {
    for (const [k, n] of curve.entries()) {
      if (Number.isNaN(n)) continue
      if (n > top) top = n
      if (k < curve.length / 2) low += n
      else high += n
    }
  }
  return { ...s, falling: low >= high, top: top || 1 }
}

// erfc to 1.2e-7, by Chebyshev's fit of Numerical Recipes.
export function erfc (x: number): number {
  const z = Math.abs(x)
  const t = 1 / (1 + z / 2)
  const c = [1.00002368, 0.37409196, 0.09678418, -0.18628806, 0.27886807, -1.13520398, 1.48851587, -0.82215223, 0.17087277]
  const sum = c.reduceRight((acc, k) => acc * t + k, 0)
  const r = t * Math.exp(-z * z - 1.26551223 + t * sum)
  return x >= 0 ? r : 2 - r
}

// fitted is the error function that belongs to a threshold and a noise, at x; null where they were not fitted.
export function fitted (s: SCurves, i: number, x: number[]): number[] | null {
  const threshold = s.threshold?.[i]
  const noise = s.noise?.[i]
  if (threshold === undefined || noise === undefined || !(noise > 0) || Number.isNaN(threshold)) return null
  const sign = s.falling ? 1 : -1
  return x.map((v) => (s.top / 2) * erfc((sign * (v - threshold)) / (Math.SQRT2 * noise)))
}

// nameOf is how people call a channel of the file.
export function nameOf (s: Pick<SCurves, 'channel' | 'chip'>, i: number): string {
  const chip = s.chip?.[i]
  return `channel ${s.channel[i] ?? i}${chip === undefined || Number.isNaN(chip) ? '' : ` (chip ${chip})`}`
}

// parseSelection reads "3, 7, 10-14" into indexes of channels. The error says what it does not understand.
export function parseSelection (text: string, channel: number[], most: number): { picked: number[]; error: string } {
  const index = new Map(channel.map((c, i) => [c, i]))
  const picked = new Set<number>()
  for (const part of text.split(/[\s,;]+/).filter(Boolean)) {
    const m = /^(\d+)(?:[-–](\d+))?$/.exec(part)
    if (!m) return { picked: [...picked], error: `“${part}” is no channel: write 3, 7, 10-14` }
    const from = Number(m[1])
    const to = Number(m[2] ?? m[1])
    if (to - from > 1e5) return { picked: [...picked], error: `${part}: at most ${most} channels are drawn` }
    for (let c = from; c <= to; c++) {
      const i = index.get(c)
      if (i === undefined) return { picked: [...picked], error: `there is no channel ${c}` }
      picked.add(i)
      if (picked.size > most) return { picked: [...picked].slice(0, most), error: `at most ${most} channels are drawn one by one` }
    }
  }
  return { picked: [...picked], error: '' }
}
