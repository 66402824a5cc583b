// A run's document and record with all that docs/runs.md says of them; the API's description names what everybody needs.
import type { RunDocument, RunRecord } from '../../api/types'

export interface Transition { name: string, from: string, to: string, time: string, reason?: string }
export interface Setpoint { device: string, channel: number | string, op: string, value?: unknown }
export interface Require { device: string, channel?: number, field: string, min?: number, max?: number, max_age?: number }
export interface Configuration { name?: string, setpoints?: Setpoint[], sensors?: Require[], timeout?: number, wait?: number }
export interface LogLine { time: string, stream: string, text: string }
export interface Event { time: string, what: string }
export interface Field { first: number, last: number, min: number, max: number, mean: number, count: number, unit?: string }
export interface CapsuleChannel {
  number?: number
  label?: string
  at_start?: Record<string, number>
  at_start_time?: string
  fields?: Record<string, Field>
  trips?: Event[]
}
export interface CapsuleDevice {
  kind?: string
  model?: string
  serial?: string
  firmware?: string
  driver?: string
  statuses: number
  missing: number
  first?: string
  last?: string
  boots?: string[]
  channels?: CapsuleChannel[]
  states?: Event[]
}
export interface Refusal { time: string, device: string, channel?: string, op: string, value?: string, user?: string, phase: string, code: string, message?: string }
export interface Capsule {
  from: string
  to: string
  devices?: Record<string, CapsuleDevice>
  refused?: Refusal[]
  more?: number
  missing: number
  dropped: number
}

export type Run = RunDocument & {
  id?: string
  device?: string
  stored?: string
  configurations?: Record<string, Configuration>
  transitions?: Transition[]
  program?: string
  arguments?: string[]
  exit?: number
  signal?: string
  versions?: Record<string, string>
  log?: LogLine[]
  log_cut?: number
  left_out?: string[]
  capsule?: Capsule
}

export type Live = RunRecord & { uid?: string, transitions?: Transition[], configurations?: Record<string, Configuration>, exit?: number }

// complete reports whether all that there will be of a run is in the database.
export const complete = (r: Pick<Run, 'stored'>): boolean => r.stored !== undefined && r.stored !== ''
