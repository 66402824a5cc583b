// Two runs side by side, as `dcs run compare` has them (pkg/runs, Compare).
import type { Run } from './document'
import { flatten } from './values'

export interface Difference {
  part: 'setting' | 'result'
  path: string
  a: unknown // undefined: the run has none
  b: unknown
  equal: boolean
  delta?: number // b less a
  relative?: number // delta over the magnitude of a
}

export function compare (a: Run, b: Run): Difference[] {
  return [...sideBySide('setting', settings(a), settings(b)), ...sideBySide('result', results(a), results(b))]
}

const setpoints = ['on', 'vreq', 'ireq', 'ramp']

function settings (r: Run): Map<string, unknown> {
  const into = new Map<string, unknown>()
  for (const key of ['procedure', 'module', 'device', 'program'] as const) if (r[key]) into.set(key, r[key])
  const parameters = Object.entries(r.parameters ?? {})
  if (parameters.length === 0 && r.arguments?.length) into.set('arguments', r.arguments.join(' '))
  for (const [name, v] of parameters) into.set('parameters/' + name, v)
  for (const [name, v] of Object.entries(r.versions ?? {})) into.set('versions/' + name, v)
  for (const [transition, c] of Object.entries(r.configurations ?? {})) flatten(c, 'configurations/' + transition, into)
  for (const [device, d] of Object.entries(r.capsule?.devices ?? {})) {
    for (const channel of d.channels ?? []) {
      if (channel.number === undefined) continue
      for (const key of setpoints) {
        const v = channel.at_start?.[key]
        if (v !== undefined) into.set(`setpoints/${device}/${channel.number}/${key}`, v)
      }
    }
  }
  return into
}

// results are the numbers alone.
function results (r: Run): Map<string, unknown> {
  const into = new Map<string, unknown>()
  for (const [name, v] of Object.entries(r.results ?? {})) flatten(v, name, into)
  for (const [path, v] of into) if (typeof v !== 'number') into.delete(path)
  return into
}

function sideBySide (part: Difference['part'], a: Map<string, unknown>, b: Map<string, unknown>): Difference[] {
  const paths = [...new Set([...a.keys(), ...b.keys()])].sort(byPath)
  return paths.map((path) => difference(part, path, a.get(path), b.get(path)))
}

function difference (part: Difference['part'], path: string, a: unknown, b: unknown): Difference {
  if (typeof a !== 'number' || typeof b !== 'number') return { part, path, a, b, equal: a === b }
  const delta = b - a
  const relative = delta / Math.abs(a)
  return { part, path, a, b, equal: a === b, delta, ...(Number.isFinite(relative) ? { relative } : {}) }
}

// byPath orders paths; numbers in them stand before names, in order of their value.
export function byPath (a: string, b: string): number {
  const x = a.split('/')
  const y = b.split('/')
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const [p, q] = [x[i] ?? '', y[i] ?? '']
    if (p === q) continue
    const [n, m] = [/^\d+$/.test(p), /^\d+$/.test(q)]
    if (n && m) return Number(p) - Number(q)
    if (n !== m) return n ? -1 : 1
    return p < q ? -1 : 1
  }
  return x.length - y.length
}
