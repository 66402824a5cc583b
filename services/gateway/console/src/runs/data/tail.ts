// The last lines that the program of the run under way has printed.
import { signal } from '@preact/signals'
import { live } from '../../live/store'
import type { LogLine } from './document'

const most = 300

export interface Tail { run: number, lines: LogLine[], dropped: number }

export const tail = signal<Tail>({ run: 0, lines: [], dropped: 0 })

interface Batch { run: number, lines: LogLine[], dropped?: number }

// add takes the next lines; those of another run begin anew.
export function add (t: Tail, b: Batch): Tail {
  const same = t.run === b.run
  const lines = same ? [...t.lines, ...b.lines] : b.lines
  return { run: b.run, lines: lines.slice(-most), dropped: (same ? t.dropped : 0) + (b.dropped ?? 0) }
}

// It listens as long as the page is open, so that lines are there whichever of the console's pages one comes from.
live.onLog(l => { tail.value = add(tail.value, l.log as unknown as Batch) })
