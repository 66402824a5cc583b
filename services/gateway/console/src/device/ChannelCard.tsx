// A channel of a supply: what it does, and what it can be told.
import type { Channel, Device } from '../api/types'
import type { Freshness } from '../live/clock'
import { send } from '../live/commands'
import { labelOf, limitsOf } from '../live/limits'
import { may } from '../session'
import { Flags, OnChip } from '../ui/flags'
import { Icon } from '../ui/icons'
import { Value } from '../ui/Value'
import { LockBox } from './LockBox'
import { Ramp } from './Ramp'
import { SetForm } from './SetForm'
import { Switch } from './Switch'

export interface OfChannel { d: Device, ch: Channel, fresh: Freshness }

export function ChannelCard ({ d, ch, fresh }: OfChannel) {
  const label = labelOf(d.meta, ch.number)
  const max = limitsOf(d.meta, 'setv', ch.number).max
  const can = d.meta?.commands ?? {}
  const lock = d.locks[String(ch.number)]
  return (
    <article class={`card channel ${ch.trip || ch.interlock ? 'alarmed' : ''}`} aria-label={`Channel ${ch.number}, ${label}`} data-test={`channel-${ch.number}`} data-fresh={fresh}>
      <div class="card-head"><h3>{label}{label !== `Channel ${ch.number}` && <span class="muted small"> channel {ch.number}</span>}</h3><OnChip ch={ch} fresh={fresh} /></div>
      {ch.trip ? <Alarm test="trip" title="Tripped" text="The trip is latched: the channel cannot be switched on until it is cleared." /> : null}
      {ch.interlock ? <Alarm test="interlock" title="Interlock open" text="The channel cannot be switched on until it is closed." /> : null}
      <div class="big-values">
        <div><span class="label muted">Voltage</span><Value v={ch.vmon} unit="V" max={max} fresh={fresh} test="vmon" /></div>
        <div><span class="label muted">Current</span><Value v={ch.imon} unit="A" fresh={fresh} test="imon" /></div>
      </div>
      <dl class="set-values small">
        <div><dt>Set</dt><dd><Value v={ch.vreq} unit="V" max={max} fresh={fresh} test="vreq" /></dd></div>
        <div><dt>Limit</dt><dd><Value v={ch.ireq} unit="A" fresh={fresh} test="ireq" /></dd></div>
        {(ch.ramp !== undefined || can.ramp) && <div><dt>Ramp</dt><dd><Value v={ch.ramp} unit="V/s" fresh={fresh} test="ramp" /></dd></div>}
      </dl>
      <Flags ch={{ ...ch, trip: 0, interlock: 0, ramping: 0 }} lock={lock} />
      {fresh !== 'none' && <Ramp device={d.name} ch={ch} fresh={fresh} />}
      {can.setv && <SetForm d={d} channel={ch.number} op="setv" label="Voltage" />}
      {can.switch && <Switch d={d} ch={ch} fresh={fresh} />}
      {(can.seti || can.ramp || can.clear || can.lock) && (
        <details class="more" open={Boolean(ch.trip || lock)}>
          <summary data-test="more">Limit, ramp, lock</summary>
          <div class="stack">
            {can.seti && <SetForm d={d} channel={ch.number} op="seti" label="Current limit" />}
            {can.ramp && <SetForm d={d} channel={ch.number} op="ramp" label="Ramp speed" />}
            {can.clear && <div class="row"><button type="button" class="btn" data-test="clear" disabled={!may('operator')} aria-describedby={may('operator') ? undefined : 'role-note'} onClick={() => { void send(d.name, { op: 'clear', channel: ch.number }) }}>Clear trips</button></div>}
            {can.lock && <LockBox device={d.name} channel={ch.number} lock={lock} locked={Boolean(ch.locked)} />}
          </div>
        </details>
      )}
    </article>
  )
}

function Alarm ({ title, text, test }: { title: string, text: string, test: string }) {
  return <div class="note bad alarm" role="alert" data-test={`alarm-${test}`}><Icon name="bad" size={20} /><p><strong>{title}.</strong> {text}</p></div>
}
