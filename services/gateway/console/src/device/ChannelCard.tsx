// A channel of a supply: what it does, and what it can be told.
import { useComputed } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import type { Channel, Device } from '../api/types'
import type { Freshness } from '../live/clock'
import { commands, send } from '../live/commands'
import { labelOf, limitsOf } from '../live/limits'
import { may } from '../session'
import { Flags, OnChip } from '../ui/flags'
import { Icon } from '../ui/icons'
import { Value } from '../ui/Value'
import { LockBox } from './LockBox'
import { Ramp } from './Ramp'
import { Result } from './Result'
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
      {ch.trip ? <Alarm test="trip" title={fresh === 'live' ? 'Tripped' : 'Was tripped when last heard'} text="The trip is latched: the channel cannot be switched on until it is cleared.">{can.clear && <Clear device={d.name} channel={ch.number} />}</Alarm> : null}
      {ch.interlock ? <Alarm test="interlock" title={fresh === 'live' ? 'Interlock open' : 'Interlock was open when last heard'} text="The channel cannot be switched on until it is closed." /> : null}
      <div class="big-values">
        <div><span class="label muted">Voltage</span><Value v={ch.vmon} unit="V" max={max} fresh={fresh} test="vmon" /></div>
        <div><span class="label muted">Current</span><Value v={ch.imon} unit="A" fresh={fresh} test="imon" /></div>
      </div>
      <dl class="set-values small">
        <div><dt>Set</dt><dd><Value v={ch.vreq} unit="V" max={max} fresh={fresh} test="vreq" /></dd></div>
        <div><dt>Limit</dt><dd><Value v={ch.ireq} unit="A" fresh={fresh} test="ireq" /></dd></div>
        {(ch.ramp !== undefined || can.ramp) && <div><dt>Ramp</dt><dd><Value v={ch.ramp} unit="V/s" fresh={fresh} test="ramp" /></dd></div>}
      </dl>
      <Flags ch={{ ...ch, trip: 0, interlock: 0, ramping: 0 }} lock={lock} fresh={fresh} />
      {fresh !== 'none' && <Ramp device={d.name} ch={ch} fresh={fresh} />}
      {can.setv && <SetForm d={d} channel={ch.number} op="setv" label="Voltage" />}
      {can.switch && <Switch d={d} ch={ch} fresh={fresh} />}
      {can.lock && (lock || ch.locked) ? <LockBox device={d.name} channel={ch.number} lock={lock} locked /> : null}
      {(can.seti || can.ramp || can.clear || can.lock) && (
        <details class="more">
          <summary data-test="more">Limit, ramp, lock</summary>
          <div class="stack">
            {can.seti && <SetForm d={d} channel={ch.number} op="seti" label="Current limit" />}
            {can.ramp && <SetForm d={d} channel={ch.number} op="ramp" label="Ramp speed" />}
            {can.clear && !ch.trip && <Clear device={d.name} channel={ch.number} />}
            {can.lock && !lock && !ch.locked && <LockBox device={d.name} channel={ch.number} locked={false} />}
          </div>
        </details>
      )}
    </article>
  )
}

function Alarm ({ title, text, test, children }: { title: string, text: string, test: string, children?: ComponentChildren }) {
  return <div class="note bad alarm" role="alert" data-test={`alarm-${test}`}><Icon name="bad" size={20} /><div><p><strong>{title}.</strong> {text}</p>{children}</div></div>
}

function Clear ({ device, channel }: { device: string, channel: number }) {
  const last = useComputed(() => commands.value.find(c => c.device === device && c.command.op === 'clear' && c.command.channel === channel)).value
  return (
    <div class="clear">
      <button type="button" class="btn small" data-test="clear" aria-label={`Clear trips of channel ${channel}`} disabled={!may('operator')} aria-describedby={may('operator') ? undefined : 'role-note'} onClick={() => { void send(device, { op: 'clear', channel }) }}>Clear trips</button>
      {last && <Result sent={last} />}
    </div>
  )
}
