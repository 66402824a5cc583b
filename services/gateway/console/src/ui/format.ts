// Numbers and times for people.
const PREFIX: ReadonlyArray<readonly [number, string]> = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k'], [1, ''], [1e-3, 'm'], [1e-6, 'µ'], [1e-9, 'n'], [1e-12, 'p']]

// What is read with a prefix: a current of 0.49 µA. Volts stay volts, so that a column of them can be compared.
const PREFIXED = new Set(['A', 'W', 'Ω', 'ohm', 'F', 'Hz', 'B'])

export interface Shown { text: string, unit: string }

// si is a value with a prefix and four digits; what is smaller than pico is 0.
export function si (v: number, unit: string): Shown {
  const a = Math.abs(v)
  if (!Number.isFinite(v) || a < 1e-12) return { text: Number.isFinite(v) ? '0' : '—', unit }
  for (let i = 0; i < PREFIX.length; i++) {
    const [scale, name] = PREFIX[i]!
    // 999.96 µ would be written 1000 µ: it belongs to the next.
    if (a >= scale * 0.99995 || i === PREFIX.length - 1) return { text: digits(v / scale, 4), unit: name + unit }
  }
  return { text: digits(v, 4), unit }
}

// shown is a value as its unit is best read; max is the range's end, where it is known.
export function shown (v: number, unit = '', max?: number): Shown {
  if (PREFIXED.has(unit)) return si(v, unit)
  if (unit === 'V' || unit === 'V/s') return { text: noMinusZero(v.toFixed(max !== undefined && max < 100 ? 3 : 2)), unit }
  if (Number.isInteger(v) && Math.abs(v) < 1e9) return { text: String(v), unit }
  const a = Math.abs(v)
  if (a !== 0 && (a < 1e-3 || a >= 1e7)) return { text: v.toExponential(3), unit }
  return { text: digits(v, a >= 1000 ? 5 : 4), unit }
}

export function shownText (v: number, unit = '', max?: number): string {
  const s = shown(v, unit, max)
  return s.unit ? `${s.text} ${s.unit}` : s.text
}

// plain is a number as one would type it: 500, 0.008, 4.9e-7.
export function plain (v: number): string { return String(Number(v.toPrecision(12))) }

// plainUnit is a limit or a target: exact, and for currents with its prefix.
export function plainUnit (v: number, unit = ''): string {
  if (!PREFIXED.has(unit) || v === 0) return unit ? `${plain(v)} ${unit}` : plain(v)
  for (const [scale, name] of PREFIX) if (Math.abs(v) >= scale) return `${plain(v / scale)} ${name}${unit}`
  return `${plain(v)} ${unit}`
}

function digits (v: number, n: number): string {
  const whole = Math.max(1, Math.floor(Math.log10(Math.abs(v) || 1) + 1e-9) + 1)
  return noMinusZero(v.toFixed(Math.max(0, n - whole)))
}

function noMinusZero (s: string): string { return /^-0(\.0*)?$/.test(s) ? s.slice(1) : s }

const SCALE: Record<string, number> = { '': 1, p: 1e-12, n: 1e-9, u: 1e-6, µ: 1e-6, μ: 1e-6, m: 1e-3, k: 1e3 }

// parseNumber reads what somebody typed for a value in `unit`: 500, 4.9e-7, 8 mA, 10u. A string says what is wrong.
export function parseNumber (typed: string, unit = ''): number | string {
  const text = typed.trim()
  if (text === '') return 'Enter a number.'
  if (/^[+-]?\d+,\d+$/.test(text)) return `Write ${text.replace(',', '.')} with a point.`
  const m = /^([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([pnuµμmk]?)(.*)$/.exec(text)
  const rest = m?.[3]?.trim() ?? ''
  if (!m || (rest !== '' && rest !== unit)) return unit ? `“${text}” is not a number in ${unit}, such as 12.5${unit === 'A' ? ' or 8 mA' : ''}.` : `“${text}” is not a number.`
  const v = Number(m[1]) * (SCALE[m[2] ?? ''] ?? 1)
  if (!Number.isFinite(v)) return `“${text}” is too large.`
  return Number(v.toPrecision(15))
}

const two = (n: number) => String(n).padStart(2, '0')

// clockTime is hh:mm:ss of this machine.
export function clockTime (at: number | string | undefined): string {
  const d = new Date(at ?? NaN)
  return Number.isNaN(d.getTime()) ? '—' : `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`
}

// dateTime is yyyy-mm-dd hh:mm:ss of this machine.
export function dateTime (at: number | string | undefined): string {
  const d = new Date(at ?? NaN)
  return Number.isNaN(d.getTime()) ? '—' : `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clockTime(at)}`
}

// duration is a time span in words: 0.4 s, 12 s, 3 min, 5 h, 2 d.
export function duration (ms: number): string {
  const s = Math.max(0, ms) / 1000
  if (s < 9.95) return `${s.toFixed(1)} s`
  if (s < 99.5) return `${Math.round(s)} s`
  if (s < 90 * 60) return `${Math.round(s / 60)} min`
  return s < 36 * 3600 ? `${Math.round(s / 3600)} h` : `${Math.round(s / 86400)} d`
}
