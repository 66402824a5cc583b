// Commands that this page has sent, and each one's way: sent, accepted, done.
import { effect, signal } from '@preact/signals'
import { ApiError, call, get } from '../api/client'
import type { AckOf, Command, NotDone, Outcome, OutcomeOf } from '../api/types'
import { me } from '../session'
import { announce } from '../ui/announce'
import { live } from './store'

// Sent is a command of this page's; one of a run has the device "run". Its phase is `sending` until the gateway has answered, `refused` when the gateway itself said no.
export interface Sent {
  key: number
  device: string
  command: Command
  at: number // ms since 1970 by the gateway's clock, as all here
  ended?: number
  id?: string
  run?: number
  phase: string
  code: string
  message: string
  closest: number | null
  readback: number | null
  known: Step[] // each phase, when this page learnt of it
}

export interface Step { phase: string, at: number, code: string, message: string }

export const commands = signal<Sent[]>([]) // the newest first
const KEPT = 250

// Who comes after somebody else at this page does not see what they did.
let whose = ''
effect(() => {
  const user = me.value?.user ?? whose
  if (whose !== '' && user !== whose) commands.value = []
  whose = user
})

let keys = 0

const ENDED = new Set(['done', 'rejected', 'superseded', 'failed', 'refused'])

// ended reports whether nothing more can come of a command. What was unanswered may still be answered.
export const ended = (s: { phase: string }) => ENDED.has(s.phase)

// settled reports whether there is nothing to wait for.
export const settled = (s: { phase: string }) => ended(s) || s.phase === 'unanswered'

const RANK: Record<string, number> = { sending: 0, sent: 1, accepted: 2 }

// isNews reports whether a phase is new to a command: what it has behind it is not.
function isNews (s: Sent, phase: string): boolean {
  if (phase === s.phase || ended(s)) return false
  if (ENDED.has(phase) || phase === 'unanswered') return true
  return !s.known.some(k => (RANK[k.phase] ?? 0) >= (RANK[phase] ?? 0))
}

type Change = Partial<Sent> & { phase: string }

function change (key: number, part: Change): void {
  commands.value = commands.value.map(s => {
    if (s.key !== key || !isNews(s, part.phase)) return s
    const at = live.time()
    const next: Sent = { ...s, ...part, known: [...s.known, { phase: part.phase, at, code: part.code ?? '', message: part.message ?? '' }] }
    if (settled(next)) {
      next.ended = at
      announce(`${commandText(next)}: ${next.phase}`)
    } else delete next.ended
    return next
  })
}

function enter (s: Pick<Sent, 'device' | 'command' | 'run'>): number {
  const key = ++keys
  const sent: Sent = { key, at: live.time(), phase: 'sending', code: '', message: '', closest: null, readback: null, known: [], ...s }
  // What is under way is not forgotten, however many there are.
  commands.value = [sent, ...commands.value.filter((old, i) => i < KEPT - 1 || !settled(old))]
  return key
}

// catchUp takes what was faster than the answer, which has the id.
function catchUp (key: number): void {
  const id = commands.value.find(s => s.key === key)?.id
  if (!id) return
  for (const a of live.acks.value) if (a.ack.id === id) heard(a)
  for (const o of early) if (o.id === id) told(o)
}

// follow enters what was sent otherwise, all off and the commands of runs, with what was answered. It returns the key.
export function follow (device: string, command: Command, answer: Outcome, run?: number): number {
  const key = enter({ device, command, run })
  change(key, taken(answer))
  catchUp(key)
  return key
}

// followUnanswered enters what was sent otherwise and had no answer, from the device or from the gateway: it may be done all the same. It returns the key, null where the error says something else.
export function followUnanswered (device: string, command: Command, e: unknown, run?: number): number | null {
  const late = e instanceof ApiError ? refused(e) : null
  if (late?.phase !== 'unanswered') return null
  const key = enter({ device, command, run })
  change(key, late)
  catchUp(key)
  return key
}

// send commands a device. It resolves when the gateway has answered; the way goes on in `commands`.
export async function send (device: string, command: Command): Promise<void> {
  const key = enter({ device, command })
  try {
    const { body } = await call<Outcome>('POST', `/devices/${encodeURIComponent(device)}/commands`, { body: command })
    change(key, taken(body))
  } catch (e) {
    change(key, e instanceof ApiError ? refused(e) : { phase: 'refused', message: String(e) })
  }
  catchUp(key)
}

function taken (o: Outcome): Change {
  return { id: o.id, phase: o.phase, code: o.code, message: o.message || o.ack?.message || '', closest: o.closest, readback: o.readback, ...(o.run ? { run: o.run } : {}) }
}

function refused (e: ApiError): Change {
  const p = e.problem as Partial<NotDone>
  return {
    id: p.id,
    phase: p.phase ?? (e.status === 0 ? 'unanswered' : 'refused'),
    code: p.code ?? '',
    message: p.ack?.message || e.problem.detail || e.problem.title,
    closest: p.closest ?? null,
    readback: p.ack?.readback ?? null,
  }
}

// heard takes an ack of the stream. What nobody had answered in time may still be answered.
export function heard ({ device, ack }: AckOf): void {
  const mine = commands.value.find(s => s.device === device && s.id && s.id === ack.id && s.command.op === ack.op && !ended(s))
  // A command is rejected or accepted: another's with the same id is rejected as its duplicate, and that is not ours.
  if (!mine || (ack.phase === 'rejected' && mine.known.some(k => k.phase === 'accepted'))) return
  change(mine.key, { phase: ack.phase, code: ack.code, message: ack.message ?? '', closest: ack.closest ?? null, readback: ack.readback ?? null, ...(ack.run ? { run: ack.run } : {}) })
}

let early: OutcomeOf[] = [] // of commands that are not known here: their answers may be on their way

// told takes what the gateway itself says of a command, when its driver will say no more.
export function told (o: OutcomeOf): void {
  const mine = commands.value.find(s => s.device === o.device && s.id === o.id)
  if (mine) change(mine.key, taken(o))
  else early = [...early, o].slice(-KEPT)
}

// recheck asks what became of those under way, after a break of the stream.
export async function recheck (): Promise<void> {
  for (const s of commands.value) {
    if (ended(s) || !s.id) continue // what was unanswered may have been answered meanwhile
    try {
      change(s.key, taken(await get<Outcome>(`/commands/${encodeURIComponent(s.id)}`)))
    } catch (e) {
      if (e instanceof ApiError && e.status === 404 && !settled(s)) {
        change(s.key, { phase: 'unanswered', message: 'The gateway was started anew while this was under way: what became of it is not known. See the live values.' })
      }
    }
  }
}

// steps is the way of a command: what this page knows, and the acks.
export function steps (s: Sent, acks: AckOf[]): Step[] {
  const heard = s.id ? acks.filter(a => a.device === s.device && a.ack.id === s.id && a.ack.op === s.command.op) : []
  const way: Step[] = heard.map(a => ({ phase: a.ack.phase, at: a.at, code: a.ack.code, message: a.ack.message ?? '' }))
  for (const k of s.known) if (k.phase !== 'sent' && !way.some(w => w.phase === k.phase)) way.push(k)
  way.sort((a, b) => a.at - b.at || (RANK[a.phase] ?? 3) - (RANK[b.phase] ?? 3))
  return [{ phase: 'sent', at: s.at, code: '', message: '' }, ...way]
}

// commandText is a command in words: "hv channel 0: set 100 V".
export function commandText ({ device, command: c, run }: Pick<Sent, 'device' | 'command' | 'run'>): string {
  const where = device === 'run' ? `run ${run ?? ''}`.trim() : c.channel === undefined ? device : c.channel === 'all' ? `${device} all channels` : `${device} channel ${c.channel}`
  return `${where}: ${opText(c.op, c.value)}`
}

export function opText (op: string, value: unknown): string {
  const v = value === undefined || value === null || value === '' ? '' : String(value)
  switch (op) {
    case 'setv': return `set ${v} V`
    case 'seti': return `current limit ${v} A`
    case 'ramp': return `ramp ${v} V/s`
    case 'switch': return `switch ${v}`
    case 'clear': return 'clear trips'
    default: return v ? `${op} ${v}` : op
  }
}
