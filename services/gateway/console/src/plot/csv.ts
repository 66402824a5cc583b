// What is plotted, as a table for other programs.
import type { Points } from './data'

export interface Column { name: string, unit: string, points: Points }

// csv has a row per time, the gateway's in RFC 3339 and UTC, and a column per line; three where the archive has joined several readings.
export function csv (columns: Column[]): string {
  const banded = columns.map(c => c.points.min.some((v, i) => v !== c.points.max[i] && Number.isFinite(v)))
  const head = columns.flatMap((c, i) => {
    const unit = c.unit ? ` [${c.unit}]` : ''
    return banded[i] ? ['min', 'mean', 'max'].map(k => `${c.name} ${k}${unit}`) : [c.name + unit]
  })
  const rows = new Map<number, string[]>()
  let width = 0
  columns.forEach((c, k) => {
    c.points.time.forEach((t, i) => {
      if (!Number.isFinite(c.points.mean[i]!)) return
      let row = rows.get(t)
      if (!row) rows.set(t, row = new Array<string>(head.length).fill(''))
      const of = banded[k] ? [c.points.min[i]!, c.points.mean[i]!, c.points.max[i]!] : [c.points.mean[i]!]
      of.forEach((v, j) => { row[width + j] = String(v) })
    })
    width += banded[k] ? 3 : 1
  })
  const lines = [...rows].sort(([a], [b]) => a - b).map(([t, row]) => [new Date(t).toISOString(), ...row].join(','))
  return [['time', ...head].map(quoted).join(','), ...lines].join('\r\n') + '\r\n'
}

// quoted is a cell that no program takes for two, nor a spreadsheet for a formula.
function quoted (s: string): string {
  const safe = /^[=+\-@\t]/.test(s) ? `'${s}` : s
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
