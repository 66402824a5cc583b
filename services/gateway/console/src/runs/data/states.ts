// A run's states, docs/contract.md, section 11, as steps.
import type { Tone } from '../../ui/Chip'
import type { IconName } from '../../ui/icons'
import type { Transition } from './document'

export const ended = (state: string): boolean => ['finished', 'failed', 'aborted', 'interrupted'].includes(state)
export const underWay = (state: string): boolean => ['configuring', 'running', 'finishing'].includes(state)

// Mark: done, now, still to come, never came to it, and how it ended.
export type Mark = 'done' | 'now' | 'later' | 'skipped' | 'good' | 'bad'
export interface Step { state: string, mark: Mark }

const way = ['configuring', 'running', 'finishing'] as const

// steps are the way of a run. Which steps one that has ended came through is in its transitions; without them it is assumed that it came
// through all if it is finished, and nothing is claimed of the others.
export function steps (state: string, transitions?: readonly Transition[]): Step[] {
  const passed = new Set(transitions?.map((t) => t.to))
  const at = way.findIndex((s) => s === state)
  const over = ended(state)
  const out: Step[] = way.map((s, i) => {
    if (s === state) return { state: s, mark: 'now' }
    if (over) return { state: s, mark: state === 'finished' || passed.has(s) ? 'done' : 'skipped' }
    if (at < 0 || i > at) return { state: s, mark: 'later' }
    return { state: s, mark: passed.size === 0 || passed.has(s) ? 'done' : 'skipped' }
  })
  out.push(over ? { state, mark: state === 'finished' ? 'good' : 'bad' } : { state: 'finished', mark: 'later' })
  return out
}

// icons tell states apart without colours.
export const icons: Record<string, IconName> = {
  idle: 'none', configuring: 'ramp', running: 'live', finishing: 'wait', finished: 'ok', failed: 'bad', aborted: 'off', interrupted: 'trip',
}

// tone is the kind of a state, for its colour.
export function tone (state: string, error = ''): Tone {
  if (state === 'finished') return 'ok'
  if (ended(state)) return 'bad'
  if (state === 'configuring') return 'warn'
  if (state === 'running') return error ? 'warn' : 'info'
  return state === 'finishing' ? 'info' : 'idle'
}

export const means: Record<string, string> = {
  idle: 'There has never been a run.',
  configuring: 'Supplies ramp, sensors are waited for.',
  running: 'The program runs.',
  finishing: 'The program has ended; supplies ramp down, results are on their way.',
  finished: 'All is well, and all results are kept.',
  failed: 'It could not be configured, or the program failed.',
  aborted: 'Somebody asked for its end.',
  interrupted: 'A part of the stack died in it.',
}
