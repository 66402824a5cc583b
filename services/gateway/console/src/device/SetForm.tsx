// A number for a channel. The limits are shown and the driver decides: what lies outside is sent, and refused there.
import { useComputed } from '@preact/signals'
import { useId, useRef, useState } from 'preact/hooks'
import type { Device } from '../api/types'
import { commands, send } from '../live/commands'
import { limitsOf, limitsText, outside } from '../live/limits'
import { may } from '../session'
import { parseNumber, plain, plainUnit } from '../ui/format'
import { Result } from './Result'

interface SetFormProps { d: Device, channel: number, op: 'setv' | 'seti' | 'ramp', label: string }

export function SetForm ({ d, channel, op, label }: SetFormProps) {
  const id = useId()
  const [typed, setTyped] = useState('')
  const [error, setError] = useState('')
  const input = useRef<HTMLInputElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  const [all, setAll] = useState(false)
  const target: number | 'all' = all ? 'all' : channel
  const last = useComputed(() => commands.value.find(c => c.device === d.name && c.command.op === op && c.command.channel === target)).value
  const limits = limitsOf(d.meta, op, channel)
  const allowed = may(op === 'seti' ? 'expert' : 'operator')
  const value = typed.trim() === '' ? null : parseNumber(typed, limits.unit)
  const warning = typeof value === 'number' ? outside(value, limits) : ''
  const plainTyped = typeof value === 'number' && /[a-zµμ]/i.test(typed.replace(/e[+-]?\d/i, '')) ? `= ${plain(value)} ${limits.unit}` : ''

  const submit = (e: SubmitEvent) => {
    e.preventDefault()
    const v = parseNumber(typed, limits.unit)
    if (typeof v === 'string') {
      setError(v)
      input.current?.focus()
      return
    }
    setError('')
    void send(d.name, { op, channel: target, value: v })
  }
  const use = (v: number) => {
    setTyped(plain(v))
    setError('')
    button.current?.focus()
  }
  return (
    <form class="set" onSubmit={submit} noValidate data-test={`form-${op}`}>
      <div class="field">
        <label for={id}>{label}<span class="hint">{limitsText(limits)}</span></label>
        <div class="set-row">
          <span class="unit-input"><input ref={input} id={id} inputMode="decimal" autoComplete="off" value={typed} disabled={!allowed} data-test={op}
            aria-invalid={error !== ''} aria-describedby={`${id}-note`} onInput={e => { setTyped(e.currentTarget.value); setError('') }} /><span aria-hidden="true">{limits.unit}</span></span>
          <button ref={button} type="submit" class="btn primary" disabled={!allowed} data-test={`${op}-set`} aria-label={`Set ${label.toLowerCase()} of ${all ? 'all channels' : `channel ${channel}`}`}>Set</button>
        </div>
        <span id={`${id}-note`} class={error ? 'error' : 'hint'} data-test={`${op}-note`}>
          {error || (warning && <span class="warning">{warning}</span>) || plainTyped || (!allowed && (op === 'seti' ? 'Needs the role expert.' : 'Needs the role operator.'))}
        </span>
      </div>
      {op === 'ramp' && <label class="check-line"><input type="checkbox" checked={all} disabled={!allowed} data-test="ramp-all" onChange={e => setAll(e.currentTarget.checked)} />for all channels, where the supply has one speed</label>}
      {last && <Result sent={last} use={allowed ? use : undefined} closest={last.closest === null ? '' : plainUnit(last.closest, limits.unit)} />}
    </form>
  )
}
