// The time that a link to a plot asks for: ?from=…&to=…
export interface Span { from: number, to: number } // ms

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/
const LEAST = 2000 // ms
const MOST = 10 * 365 * 86_400_000 // what the archive is asked for at most

// spanOf is the span of an address's query, null when it has none or one that cannot be.
export function spanOf (q: URLSearchParams): Span | null {
  const [from, to] = ['from', 'to'].map(k => TIME.test(q.get(k) ?? '') ? Date.parse(q.get(k)!) : NaN) as [number, number]
  return to - from >= LEAST && to - from <= MOST ? { from, to } : null
}
