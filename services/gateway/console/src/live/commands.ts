// Commands that this page has sent, and each one's way: sent, accepted, done.
import { signal } from '@preact/signals'
import { ApiError, call, get } from '../api/client'
import type { AckOf, Command, NotDone, Outcome } from '../api/types'
import { announce } from '../ui/announce'
import { live } from './store'

// Sent is a command of this page's. Its phase is `sending` until the gateway has answered, `refused` when the gateway itself said no.
export interface Sent {
  key: number
  device: string
  command: Command
  at: number // ms here
  ended?: number
  id?: string
  phase: string
  code: string
  message: string
  closest: number | null
  readback: number | null
}

export interface Step { phase: string, at: number, code: string, message: string }

export const commands = signal<Sent[]>([]) // the newest first
const KEPT = 50
let keys = 0

const ENDED = new Set(['done', 'rejected', 'superseded', 'failed', 'unanswered', 'refused'])
export const ended = (s: { phase: string }) => ENDED.has(s.phase)

function change (key: number, part: Partial<Sent>): void {
  commands.value = commands.value.map(s => {
    if (s.key !== key || (ended(s) && part.phase && !ENDED.has(part.phase))) return s
    const next = { ...s, ...part }
    if (ended(next) && !ended(s)) {
      next.ended = Date.now()
      announce(`${commandText(next)}: ${next.phase}`)
    }
    return next
  })
}

// send commands a device. It resolves when the gateway has answered; the way goes on in `commands`.
export async function send (device: string, command: Command): Promise<void> {
  const key = ++keys
  commands.value = [{ key, device, command, at: Date.now(), phase: 'sending', code: '', message: '', closest: null, readback: null }, ...commands.value].slice(0, KEPT)
  try {
    const { body } = await call<Outcome>('POST', `/devices/${encodeURIComponent(device)}/commands`, { body: command })
    change(key, taken(body))
  } catch (e) {
    change(key, e instanceof ApiError ? refused(e) : { phase: 'refused', message: String(e) })
  }
  for (const a of live.acks.value) heard(a) // those that came before the answer did
}

function taken (o: Outcome): Partial<Sent> {
  return { id: o.id, phase: o.phase, code: o.code, message: o.message, closest: o.closest, readback: o.readback }
}

function refused (e: ApiError): Partial<Sent> {
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

// heard takes an ack of the stream. One that nobody had answered in time may still say how it has ended.
export function heard ({ device, ack }: AckOf): void {
  const mine = commands.value.find(s => s.device === device && s.id && s.id === ack.id && (!ended(s) || s.phase === 'unanswered'))
  if (mine) change(mine.key, { phase: ack.phase, code: ack.code, message: ack.message ?? '', closest: ack.closest ?? null, readback: ack.readback ?? null })
}

// recheck asks what became of those under way, after a break of the stream.
export async function recheck (): Promise<void> {
  for (const s of commands.value) {
    if (ended(s) || !s.id) continue
    try {
      change(s.key, taken(await get<Outcome>(`/commands/${encodeURIComponent(s.id)}`)))
    } catch (e) {
      if (e instanceof ApiError && e.status === 404) {
        change(s.key, { phase: 'unanswered', message: 'The gateway was started anew while this was under way: what became of it is not known. See the live values.' })
      }
    }
  }
}

// steps is the way of a command: what this page knows, and the acks.
export function steps (s: Sent, acks: AckOf[]): Step[] {
  const way: Step[] = [{ phase: 'sent', at: s.at, code: '', message: '' }]
  if (s.id) {
    for (const a of acks) {
      if (a.device === s.device && a.ack.id === s.id) way.push({ phase: a.ack.phase, at: live.local(a.at), code: a.ack.code, message: a.ack.message ?? '' })
    }
  }
  if (s.phase !== 'sending' && s.phase !== 'sent' && !way.some(w => w.phase === s.phase)) way.push({ phase: s.phase, at: s.ended ?? Date.now(), code: s.code, message: s.message })
  return way
}

// commandText is a command in words: "hv channel 0: set 100 V".
export function commandText ({ device, command: c }: { device: string, command: Command }): string {
  const where = c.channel === undefined ? device : c.channel === 'all' ? `${device} all channels` : `${device} channel ${c.channel}`
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
