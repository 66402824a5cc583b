// Sizes and times for people, beside those of ui/format.

export function bytes (n: number): string {
  if (n < 1000) return `${n} B`
  for (const [unit, size] of [['kB', 1e3], ['MB', 1e6], ['GB', 1e9]] as const) if (n < size * 1000 || unit === 'GB') return `${Number((n / size).toPrecision(3))} ${unit}`
  return ''
}

// took is a time in seconds, as exact as one wants it.
export function took (s: number): string {
  if (!Number.isFinite(s) || s < 0) return '–'
  if (s < 60) return `${s < 10 && !Number.isInteger(s) ? s.toFixed(1) : Math.round(s)} s`
  const all = Math.round(s)
  const [h, m, r] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60]
  return h > 0 ? `${h} h${m ? ` ${m} min` : ''}` : `${m} min${r ? ` ${r} s` : ''}`
}

// between is how long it was from one time to another in s, NaN where one is missing.
export const between = (from?: string, to?: string): number => from && to ? (Date.parse(to) - Date.parse(from)) / 1000 : Number.NaN
