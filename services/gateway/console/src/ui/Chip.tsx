// A state by an icon, a word and a colour.
import type { ComponentChildren } from 'preact'
import { live } from '../live/store'
import { Icon, type IconName } from './icons'

export type Tone = 'ok' | 'warn' | 'bad' | 'info' | 'idle'

const icons: Record<Tone, IconName> = { ok: 'ok', warn: 'warn', bad: 'bad', info: 'live', idle: 'none' }

interface ChipProps { tone: Tone, icon?: IconName, title?: string, test?: string, children: ComponentChildren }

export function Chip ({ tone, icon, title, test, children }: ChipProps) {
  return <span class={`chip ${tone}`} title={title} data-test={test}><Icon name={icon ?? icons[tone]} />{children}</span>
}

// What the states of drivers and services look like.
export function stateTone (state: string | undefined): Tone {
  switch (state) {
    case 'ready': return 'ok'
    case 'starting': return 'info'
    case 'unreachable': return 'warn'
    case 'lost': return 'bad'
    default: return 'idle'
  }
}

// What the phases of a command look like.
export function phaseTone (phase: string): Tone {
  switch (phase) {
    case 'done': return 'ok'
    case 'accepted': case 'sent': case 'sending': return 'info'
    case 'superseded': case 'unanswered': return 'warn'
    case 'rejected': case 'failed': return 'bad'
    default: return 'idle'
  }
}

// StateChip says a driver's or a service's state; what was heard before the link broke is said as past.
export function StateChip ({ state, error }: { state: string | undefined, error?: string }) {
  if (state && live.link.value !== 'ok') return <Chip tone="idle" icon="stale" title="Last known" test="state">was {state}</Chip>
  return <Chip tone={stateTone(state)} title={error || undefined} test="state">{state ?? 'no state'}</Chip>
}
