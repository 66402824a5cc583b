// Short names for what the API's description defines.
import type { components } from './schema'

export type Schemas = components['schemas']
export type Me = Schemas['Me']
export type Role = Me['role']
export type Problem = Schemas['Problem']
export type NotDone = Schemas['NotDone']
export type Snapshot = Schemas['Snapshot']
export type Device = Schemas['Device']
export type Meta = Schemas['Meta']
export type State = Schemas['State']
export type Service = Schemas['Service']
export type Reading = Schemas['Reading']
export type LockTag = Schemas['LockTag']
export type Bus = Schemas['Bus']
export type Ack = Schemas['Ack']
export type AckOf = Schemas['AckOf']
export type Outcome = Schemas['Outcome']
// OutcomeOf is what the gateway itself says of a command that it will hear no more of.
export type OutcomeOf = Schemas['outcome']
export type Command = Schemas['Command']
export type OffOutcome = Schemas['OffOutcome']
export type History = Schemas['History']
export type RunRecord = Schemas['RunRecord']
export type RunDocument = Schemas['RunDocument']
export type RunFile = Schemas['RunFile']
export type Procedure = Schemas['Procedure']
export type StartRun = Schemas['StartRun']
export type Entry = Schemas['Entry']

// A power supply's channel in a status, docs/contract.md, section 2. What the
// instrument cannot fill is absent.
export interface Channel {
  number: number
  on: number
  vreq: number
  ireq?: number
  vmon?: number
  imon?: number
  ramp?: number
  ramping?: number
  limited?: number
  trip?: number
  interlock?: number
  locked?: number
  time?: string
  seq?: number
  boot?: string
}
