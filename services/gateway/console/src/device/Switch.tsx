// On and off. Off never asks.
import { useComputed } from '@preact/signals'
import { useState } from 'preact/hooks'
import { commands, send } from '../live/commands'
import { labelOf, limitsOf } from '../live/limits'
import { may } from '../session'
import { Dialog } from '../ui/Dialog'
import { shownText } from '../ui/format'
import { Icon } from '../ui/icons'
import type { OfChannel } from './ChannelCard'
import { Result } from './Result'

export function Switch ({ d, ch, fresh }: OfChannel) {
  const [ask, setAsk] = useState(false)
  const allowed = may('operator')
  const last = useComputed(() => commands.value.find(c => c.device === d.name && c.command.op === 'switch' && c.command.channel === ch.number)).value
  const label = labelOf(d.meta, ch.number)
  const limits = limitsOf(d.meta, 'setv', ch.number)
  const where = `${d.name}, channel ${ch.number}${label === `Channel ${ch.number}` ? '' : ` (${label})`}`
  const send1 = (value: 'on' | 'off') => { void send(d.name, { op: 'switch', channel: ch.number, value }) }
  const name = (word: string) => `Switch ${word} channel ${ch.number}`
  const known = Number.isFinite(ch.vreq)
  return (
    <div>
      <div class="row switch">
        <button type="button" class="btn" disabled={!allowed} aria-label={name('on')} aria-describedby={allowed ? undefined : 'role-note'} data-test="switch-on" onClick={() => setAsk(true)}><Icon name="on" />Switch on…</button>
        <button type="button" class="btn danger" disabled={!allowed} aria-label={name('off')} aria-describedby={allowed ? undefined : 'role-note'} data-test="switch-off" onClick={() => send1('off')}><Icon name="off" />Switch off</button>
      </div>
      {last && <Result sent={last} />}
      <Dialog title="Switch on?" open={ask} close={() => setAsk(false)} test="switch-dialog">
        <p><strong>{where}</strong> is switched on and goes to</p>
        <p class="target" data-test="switch-target">{known ? shownText(ch.vreq, 'V', limits.max) : 'a voltage that is not known'}</p>
        {ch.ramp ? <p class="muted">at {shownText(ch.ramp, 'V/s')}.</p> : null}
        {fresh !== 'live' && <p class="note warn">This setpoint is the last known one, and not live. The driver names the target in its ack.</p>}
        <div class="dialog-end">
          <button type="button" class="btn" data-test="cancel" onClick={() => setAsk(false)}>Cancel</button>
          <button type="button" class="btn primary" data-test="confirm" onClick={() => { setAsk(false); send1('on') }}><Icon name="on" />Switch on</button>
        </div>
      </Dialog>
    </div>
  )
}
