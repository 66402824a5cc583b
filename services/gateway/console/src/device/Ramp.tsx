// How far a ramp has come.
import type { Channel } from '../api/types'
import type { Freshness } from '../live/clock'
import { live } from '../live/store'
import { duration, shownText } from '../ui/format'
import { rampOf } from './rampOf'

export function Ramp ({ device, ch, fresh }: { device: string, ch: Channel, fresh: Freshness }) {
  const r = rampOf(ch, field => live.ring.track(device, ch.number, field))
  if (!r) return null
  const percent = Math.round(r.done * 100)
  const text = `${shownText(r.from, 'V')} → ${shownText(r.to, 'V')}${r.left !== null && fresh === 'live' ? `, ${duration(r.left * 1000)} left` : ''}`
  return (
    <div class="ramp" data-test="ramp-progress">
      <div class="row small"><strong>{fresh === 'live' ? 'Ramping' : 'Was ramping'}</strong><span class="num">{text}</span></div>
      <div class={`bar ${fresh === 'live' ? '' : 'stale'}`} role="progressbar" aria-label={`Ramp of channel ${ch.number}`} aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100} aria-valuetext={text}><div style={{ width: `${percent}%` }} /></div>
    </div>
  )
}
