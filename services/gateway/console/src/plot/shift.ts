// The archive has a device's values at the times of its driver's clock, the stream at those of the gateway's.
import type { Device } from '../api/types'

const AGREE = 1000 // ms by which clocks may differ and are taken for one

// shiftOf is what the gateway's clock is ahead of a device's, ms; 0 where that is not known, or hardly anything.
// `before` is what it was taken for: it is kept while it is right to a second.
export function shiftOf (d: Pick<Device, 'at' | 'status'> | undefined, before = 0): number {
  if (!d || !(d.at > 0)) return before
  const rows = (Array.isArray(d.status) ? d.status : [d.status]) as Array<{ time?: unknown } | null>
  const times = rows.map(r => typeof r?.time === 'string' ? Date.parse(r.time) : NaN).filter(t => !Number.isNaN(t))
  if (times.length === 0) return before
  const shift = d.at - Math.max(...times) // channels are read one after the other: a status is of when the last was
  if (Math.abs(shift - before) <= AGREE) return before
  return Math.abs(shift) <= AGREE ? 0 : shift
}
