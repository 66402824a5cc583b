// What a channel may be set to, from its device's description.
import type { Channel, Meta } from '../api/types'
import { plainUnit } from '../ui/format'

export interface Limits { min?: number, max?: number, unit: string }

// limitsOf are those of an op on a channel: a channel's own win over the op's. They are of the voltage.
export function limitsOf (meta: Meta | null | undefined, op: string, channel: number): Limits {
  const of = meta?.commands?.[op]
  const own = op === 'setv' ? meta?.channels?.find(c => c.number === channel) : undefined
  return { min: own?.min ?? of?.min, max: own?.max ?? of?.max, unit: of?.unit ?? { setv: 'V', seti: 'A', ramp: 'V/s' }[op] ?? '' }
}

// limitsText says them: "0 to 1000 V".
export function limitsText ({ min, max, unit }: Limits): string {
  if (min !== undefined && max !== undefined) {
    return unit === 'A' ? `${plainUnit(min, unit)} to ${plainUnit(max, unit)}` : `${plainUnit(min)} to ${plainUnit(max, unit)}`
  }
  if (max !== undefined) return `at most ${plainUnit(max, unit)}`
  return min !== undefined ? `at least ${plainUnit(min, unit)}` : 'no limits known'
}

// outside says why a value does not lie within them; empty when it does. The driver decides.
export function outside (v: number, l: Limits): string {
  if (l.max !== undefined && v > l.max) return `${plainUnit(v, l.unit)} is above the limit of ${plainUnit(l.max, l.unit)}; the driver will refuse it.`
  if (l.min !== undefined && v < l.min) return `${plainUnit(v, l.unit)} is below the limit of ${plainUnit(l.min, l.unit)}; the driver will refuse it.`
  return ''
}

// labelOf is a channel's name for people.
export function labelOf (meta: Meta | null | undefined, channel: number): string {
  return meta?.channels?.find(c => c.number === channel)?.label || `Channel ${channel}`
}

// channelsOf are a supply's channels in its last status; without one, those of its description.
export function channelsOf (status: unknown, meta: Meta | null | undefined): Channel[] {
  const rows = Array.isArray(status) ? status as Channel[] : []
  // A padded channel is inert and has no number of its status.
  const real = rows.filter(c => typeof c.number === 'number' && ('seq' in c || meta?.channels?.some(m => m.number === c.number)))
  if (real.length > 0) return real
  return (meta?.channels ?? []).map(c => ({ number: c.number, on: NaN, vreq: NaN }))
}
