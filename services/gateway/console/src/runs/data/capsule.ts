// What a capsule says of a channel, in the order in which one reads it.
import type { CapsuleChannel } from './document'

const order = ['on', 'vreq', 'vmon', 'ireq', 'imon', 'ramp']
const flags = ['trip', 'interlock', 'limited', 'ramping', 'locked']
const notMeasured = ['time', 'seq', 'boot', 'number']
const units: Record<string, string> = { vreq: 'V', vmon: 'V', ireq: 'A', imon: 'A', ramp: 'V/s', temperature: '°C', humidity: '%', pressure: 'Pa' }

export const unitOfField = (c: CapsuleChannel, field: string): string => c.fields?.[field]?.unit ?? units[field] ?? ''
export const isFlag = (field: string): boolean => field === 'on' || flags.includes(field)

// fieldsOf are the fields of a channel; a flag that said nothing all the time is left out.
export function fieldsOf (c: CapsuleChannel): string[] {
  const all = new Set([...Object.keys(c.at_start ?? {}), ...Object.keys(c.fields ?? {})])
  const quiet = (f: string) => flags.includes(f) && !c.at_start?.[f] && !c.fields?.[f]?.max && !c.fields?.[f]?.min
  const place = (f: string) => order.includes(f) ? order.indexOf(f) : order.length
  return [...all].filter(f => !notMeasured.includes(f) && !quiet(f)).sort((a, b) => place(a) - place(b) || a.localeCompare(b))
}
