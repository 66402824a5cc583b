// The start form: what the metas of devices say that can be started, and whether what somebody has typed fits it. The rules are the driver's
// (drivers/ph2acf/procedure), which checks again.
import type { Device, Procedure } from '../../api/types'
import { toJS } from './re2'

export type Parameter = NonNullable<Procedure['parameters']>[string]
export type Value = string | number | boolean

// Startable is a procedure of a device.
export interface Startable { procedure: string, device: string, title: string, about: Procedure, ready: boolean }

// startables are all procedures of all devices of kind calibration, in order of their names.
export function startables (devices: Iterable<Device>): Startable[] {
  const found: Startable[] = []
  for (const d of devices) {
    if (d.meta?.kind !== 'calibration') continue
    for (const [name, about] of Object.entries(d.meta.procedures ?? {})) {
      found.push({ procedure: name, device: d.name, title: about.title ?? '', about, ready: d.state?.state === 'ready' })
    }
  }
  return found.sort((a, b) => a.procedure.localeCompare(b.procedure) || a.device.localeCompare(b.device))
}

// parametersOf are the parameters as a form has them: those that must be given first.
export function parametersOf (p: Procedure): [string, Parameter][] {
  const all = Object.entries(p.parameters ?? {})
  return [...all.filter(([, q]) => q.required), ...all.filter(([, q]) => !q.required)]
}

// initial is what a field has at first, as text. A choice is the place in the list of values.
export function initial (p: Parameter): string {
  if (p.values) {
    const at = p.values.indexOf(p.default)
    return at < 0 ? '' : String(at)
  }
  return p.default === undefined || p.default === null ? '' : String(p.default)
}

export interface Read { value?: Value, error: string }

const words: Record<Parameter['type'], string> = { string: 'a text', int: 'a whole number', float: 'a number', bool: 'yes or no' }

// read is the value of a field and what is wrong with it. An empty field that need not be filled has neither.
export function read (p: Parameter, text: string): Read {
  const empty = p.type === 'string' && !p.values ? text === '' : text.trim() === ''
  if (empty) {
    return p.required ? { error: `This must be given: ${wants(p)}.` } : { error: '' }
  }
  if (p.values) {
    const value = p.values[Number(text)]
    return isValue(value) ? { value, error: '' } : { error: `Choose ${wants(p)}.` }
  }
  switch (p.type) {
    case 'bool':
      return text === 'true' || text === 'false' ? { value: text === 'true', error: '' } : { error: 'Choose yes or no.' }
    case 'string':
      return { value: text, error: wrongText(p, text) }
    default:
      return readNumber(p, text.trim())
  }
}

const isValue = (v: unknown): v is Value => typeof v === 'string' || typeof v === 'number' || typeof v === 'boolean'

function readNumber (p: Parameter, text: string): Read {
  const x = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isFinite(x)) return { error: `“${text}” is no number${text.includes(',') ? ': write a point instead of the comma' : ''}.` }
  if (p.type === 'int' && !Number.isSafeInteger(x)) return { error: `${text} is no whole number.` }
  const unit = p.unit ? ' ' + p.unit : ''
  if (p.min !== undefined && x < p.min) return { error: `${text} is below the minimum, ${p.min}${unit}.` }
  if (p.max !== undefined && x > p.max) return { error: `${text} is above the maximum, ${p.max}${unit}.` }
  return { value: x, error: '' }
}

const longest = 4096 // bytes, docs/contract.md, section 11
const hidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}]/u
const patterns = new Map<string, RegExp | null>()

function wrongText (p: Parameter, text: string): string {
  if (new TextEncoder().encode(text).length > longest) return `This is longer than ${longest} bytes.`
  const odd = hidden.exec(text)?.[0]
  if (odd) return `There is a character in it that cannot be seen, U+${(odd.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}.`
  if (/(?:^|[/\\])\.\.(?:$|[/\\])|\.\.\/|\/\.\./.test(text)) return '.. leads out of a folder and is never allowed.'
  if (!p.pattern) return ''
  let whole = patterns.get(p.pattern)
  if (whole === undefined) patterns.set(p.pattern, whole = toJS(p.pattern))
  return whole && !whole.test(text) ? `“${text}” does not fit the pattern ${p.pattern}` : ''
}

// wants says what a field takes.
export function wants (p: Parameter): string {
  const unit = p.unit ? ' ' + p.unit : ''
  if (p.values) return 'one of ' + p.values.map(String).join(', ')
  if (p.pattern) return `a text that fits ${p.pattern}`
  if (p.min !== undefined && p.max !== undefined) return `${words[p.type]} from ${p.min} to ${p.max}${unit}`
  if (p.min !== undefined) return `${words[p.type]} from ${p.min}${unit}`
  if (p.max !== undefined) return `${words[p.type]} up to ${p.max}${unit}`
  return words[p.type] + (unit ? ' in' + unit : '')
}

// readAll are the values of a form and the errors by parameter. What was left empty is not sent: the driver fills in its default.
export function readAll (p: Procedure, texts: Readonly<Record<string, string>>): { values: Record<string, Value>, errors: Record<string, string> } {
  const values: Record<string, Value> = {}
  const errors: Record<string, string> = {}
  for (const [name, q] of parametersOf(p)) {
    const { value, error } = read(q, texts[name] ?? initial(q))
    if (error) errors[name] = error
    else if (value !== undefined) values[name] = value
  }
  return { values, errors }
}

// blamed is the parameter that a refusal of the driver is about: "ph2acf: parameter module: …".
export function blamed (message: string, p: Procedure): string | undefined {
  const name = /\bparameter "?([A-Za-z0-9_]+)"?/.exec(message)?.[1]
  return name !== undefined && p.parameters?.[name] ? name : undefined
}
