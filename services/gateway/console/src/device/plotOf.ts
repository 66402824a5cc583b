// What of a device can be plotted.
import type { Device } from '../api/types'
import { channelsOf, labelOf } from '../live/limits'
import type { PlotWhat } from '../plot/PlotPanel'

const order = ['vmon', 'imon', 'vreq', 'ireq', 'ramp', 'on', 'limited', 'trip', 'interlock']

export function plotOf (d: Device): PlotWhat | null {
  const units = d.meta?.fields ?? {}
  const period = d.meta?.period || 1
  if (d.meta?.kind === 'psu') {
    const rows = channelsOf(d.status, d.meta)
    const has = new Set([...Object.keys(units), ...rows.flatMap(r => Object.keys(r))])
    const fields = order.filter(f => has.has(f)).map(name => ({ name, unit: units[name]?.unit ?? '' }))
    return { device: d.name, sensor: false, period, fields, channels: rows.map(r => ({ number: r.number, label: labelOf(d.meta, r.number) })), chosen: ['vmon'] }
  }
  const status = d.status && !Array.isArray(d.status) ? d.status as Record<string, unknown> : {}
  const names = Object.keys({ ...units, ...status }).filter(k => k !== 'seq' && (units[k] !== undefined || typeof status[k] === 'number'))
  if (names.length === 0) return null
  const calibration = d.meta?.kind === 'calibration'
  return { device: d.name, sensor: false, period, fields: names.map(name => ({ name, unit: units[name]?.unit ?? '' })), channels: [], chosen: calibration ? names.filter(n => n === 'progress') : names.slice(0, 4) }
}
