// Tagging a channel out, and taking the tag off.
import { useComputed } from '@preact/signals'
import { useId, useState } from 'preact/hooks'
import type { LockTag } from '../api/types'
import { commands, send } from '../live/commands'
import { live } from '../live/store'
import { may, me } from '../session'
import { dateTime } from '../ui/format'
import { Icon } from '../ui/icons'
import { Result } from './Result'

interface LockBoxProps { device: string, channel: number, lock?: LockTag, locked: boolean }

export function LockBox ({ device, channel, lock, locked }: LockBoxProps) {
  const id = useId()
  const [reason, setReason] = useState('')
  const [error, setError] = useState('')
  const last = useComputed(() => commands.value.find(c => c.device === device && (c.command.op === 'lock' || c.command.op === 'unlock') && c.command.channel === channel)).value
  const result = last && <Result sent={last} />
  if (lock || locked) {
    const mine = lock !== undefined && lock.user === me.value?.user
    const may1 = may('expert') || (mine && may('operator'))
    return (
      <div class="stack" data-test="lock-tag">
        <div class="note warn"><p><Icon name="lock" /> <strong>Locked{lock && ` by ${lock.user || 'somebody who gave no name'}`}</strong>{lock && <>, <span class="nowrap">{dateTime(live.said(device, lock.time))}</span></>}{lock && <>: “{lock.reason}”</>}</p></div>
        <div class="row">
          <button type="button" class="btn" disabled={!may1} aria-describedby={may1 ? undefined : `${id}-why`} data-test="unlock" onClick={() => { void send(device, { op: 'unlock', channel }) }}>Unlock</button>
          {!may1 && <span class="small muted" id={`${id}-why`}>Only {lock?.user || 'who locked it'} or an expert may unlock it.</span>}
        </div>
        {result}
      </div>
    )
  }
  const submit = (e: SubmitEvent) => {
    e.preventDefault()
    const text = reason.trim()
    if (text === '') return setError('Say why: who comes by must know.')
    if (new TextEncoder().encode(text).length > 256) return setError('At most 256 bytes, please.')
    setError('')
    setReason('')
    void send(device, { op: 'lock', channel, reason: text })
  }
  return (
    <form class="set" onSubmit={submit} noValidate>
      <div class="field">
        <label for={id}>Lock <span class="hint">refuses all but off, clear and unlock</span></label>
        <div class="set-row">
          <input id={id} value={reason} placeholder="Reason" disabled={!may('operator')} aria-invalid={error !== ''} aria-describedby={`${id}-note`} data-test="lock-reason" onInput={e => { setReason(e.currentTarget.value); setError('') }} />
          <button type="submit" class="btn" disabled={!may('operator')} data-test="lock" aria-label={`Lock channel ${channel}`}>Lock</button>
        </div>
        <span id={`${id}-note`} class={error ? 'error' : 'hint'}>{error || (!may('operator') && 'Needs the role operator.')}</span>
      </div>
      {result}
    </form>
  )
}
