// Numbers of many numbers. NaN stands for what was not measured, and is left out.

export interface Spread {
  count: number
  missing: number
  min: number
  max: number
  mean: number
  rms: number // about the mean
  median: number
}

export const finite = (values: readonly number[]): number[] => values.filter(Number.isFinite)

// quantile of sorted values, between its neighbours.
export function quantile (sorted: readonly number[], q: number): number {
  const at = Math.min(Math.max(q, 0), 1) * (sorted.length - 1)
  const low = sorted[Math.floor(at)] ?? Number.NaN
  const high = sorted[Math.ceil(at)] ?? Number.NaN
  return low + (high - low) * (at - Math.floor(at))
}

export const sorted = (values: readonly number[]): number[] => finite(values).sort((a, b) => a - b)

export function spread (values: readonly number[]): Spread {
  const s = sorted(values)
  const mean = s.reduce((a, x) => a + x, 0) / s.length
  const square = s.reduce((a, x) => a + (x - mean) ** 2, 0) / s.length
  return {
    count: s.length,
    missing: values.length - s.length,
    min: s[0] ?? Number.NaN,
    max: s[s.length - 1] ?? Number.NaN,
    mean,
    rms: Math.sqrt(square),
    median: quantile(s, 0.5),
  }
}

// robustRange is the range of nearly all values: one channel that screams must not make all others look alike.
export function robustRange (values: readonly number[]): [number, number] {
  const s = sorted(values)
  if (s.length === 0) return [0, 1]
  const q1 = quantile(s, 0.25)
  const q3 = quantile(s, 0.75)
  const reach = 3 * (q3 - q1)
  const low = s.find((x) => x >= q1 - reach) ?? q1
  const high = s.findLast((x) => x <= q3 + reach) ?? q3
  return low < high ? [low, high] : [low - 0.5, high + 0.5]
}

export interface Histogram {
  from: number
  width: number
  counts: number[]
  below: number // values left of the first bin
  above: number
}

// niceStep is 1, 2 or 5 times a power of ten, not below x.
export function niceStep (x: number): number {
  if (!(x > 0) || !Number.isFinite(x)) return 1
  const ten = 10 ** Math.floor(Math.log10(x))
  for (const k of [1, 2, 5]) if (k * ten >= x * (1 - 1e-9)) return k * ten
  return 10 * ten
}

// histogram has bins of a round width after Freedman and Diaconis, over nearly all values; what is far off is counted in below and above.
export function histogram (values: readonly number[], mostBins = 80): Histogram {
  const s = sorted(values)
  const [low, high] = robustRange(s)
  const iqr = quantile(s, 0.75) - quantile(s, 0.25)
  const wanted = s.length > 1 && iqr > 0 ? (2 * iqr) / Math.cbrt(s.length) : (high - low) / 10
  const width = niceStep(Math.max(wanted, (high - low) / mostBins))
  const from = Math.floor(low / width + 1e-9) * width
  const bins = Math.max(1, Math.floor((high - from) / width + 1e-9) + 1)
  const h: Histogram = { from, width, counts: new Array<number>(bins).fill(0), below: 0, above: 0 }
  for (const x of s) {
    const k = Math.floor((x - from) / width + 1e-9)
    if (k < 0) h.below++
    else if (k >= bins) h.above++
    else h.counts[k] = (h.counts[k] ?? 0) + 1
  }
  return h
}
