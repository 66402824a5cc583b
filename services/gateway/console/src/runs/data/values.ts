// Values of any shape, as those of a JSON result: their leaves by path, and lists of objects as tables.

export type Json = null | string | number | boolean | Json[] | { [key: string]: Json }

const isObject = (v: unknown): v is Record<string, unknown> => typeof v === 'object' && v !== null && !Array.isArray(v)
export { isObject }

// flatten puts the leaves of v into a map by their paths. Entries of a list are named after their "name" if all have one of their own.
export function flatten (v: unknown, path = '', into = new Map<string, unknown>()): Map<string, unknown> {
  const below = (k: string) => path === '' ? k : `${path}/${k}`
  if (Array.isArray(v)) {
    const names = entryNames(v)
    v.forEach((e, i) => flatten(e, below(names[i] ?? String(i)), into))
  } else if (isObject(v)) {
    for (const [k, e] of Object.entries(v)) flatten(e, below(k), into)
  } else {
    into.set(path, v)
  }
  return into
}

function entryNames (list: readonly unknown[]): string[] {
  const names = list.map((e) => isObject(e) && typeof e.name === 'string' ? e.name : '')
  return names.every(Boolean) && new Set(names).size === names.length ? names : list.map((_, i) => String(i))
}

export interface Grid { heads: string[], rows: unknown[][] }

// grid is a list of objects as a table, null of anything else.
export function grid (v: unknown): Grid | null {
  if (!Array.isArray(v) || v.length === 0 || !v.every(isObject)) return null
  const rows = v.map((e) => flatten(e))
  const heads = [...new Set(rows.flatMap((r) => [...r.keys()]))]
  return { heads, rows: rows.map((r) => heads.map((h) => r.get(h))) }
}

// Section is a part of a JSON result: facts, or a table.
export interface Section { name: string, facts: [string, unknown][], grid: Grid | null }

// sections are a JSON object in parts that can be read: its leaves first, then each object and each list of objects.
export function sections (v: unknown): Section[] {
  if (!isObject(v)) return [{ name: '', facts: [...flatten(v)], grid: grid(v) }]
  const top: Section = { name: '', facts: [], grid: null }
  const rest: Section[] = []
  for (const [k, e] of Object.entries(v)) {
    const table = grid(e)
    if (table) rest.push({ name: k, facts: [], grid: table })
    else if (isObject(e)) rest.push({ name: k, facts: [...flatten(e)], grid: null })
    else if (Array.isArray(e)) top.facts.push([k, list(e)])
    else top.facts.push([k, e])
  }
  return top.facts.length > 0 ? [top, ...rest] : rest
}

const list = (v: readonly unknown[]): string => v.length === 0 ? 'none' : v.length > 40 ? `${v.slice(0, 40).map(show).join(', ')}, … ${v.length} in all` : v.map(show).join(', ')

// show is a value for people: a measured number to six digits, what somebody has set (a whole number) with all of them.
export function show (v: unknown): string {
  if (v === null || v === undefined) return '–'
  if (typeof v === 'number') return number(v)
  if (typeof v === 'boolean') return v ? 'yes' : 'no'
  if (Array.isArray(v)) return list(v)
  return isObject(v) ? JSON.stringify(v) : String(v)
}

export function number (x: number, digits = 6): string {
  if (Number.isNaN(x)) return '–'
  if (Number.isInteger(x) && Math.abs(x) <= Number.MAX_SAFE_INTEGER) return String(x)
  return String(Number(x.toPrecision(digits)))
}
