// What of a channel needs a word beside its numbers.
import type { Channel, LockTag } from '../api/types'
import type { Freshness } from '../live/clock'
import { Chip } from './Chip'

export function OnChip ({ ch, fresh }: { ch: Channel, fresh: Freshness }) {
  if (fresh === 'none' || fresh === 'invalid' || Number.isNaN(ch.on)) return <Chip tone="idle" test="on">unknown</Chip>
  const word = ch.on ? 'on' : 'off'
  if (fresh === 'stale') return <Chip tone="idle" icon="stale" test="on" title="Last known">was {word}</Chip>
  return <Chip tone={ch.on ? 'info' : 'idle'} icon={ch.on ? 'on' : 'off'} test="on">{word}</Chip>
}

export function Flags ({ ch, lock, fresh }: { ch: Channel, lock?: LockTag, fresh: Freshness }) {
  const any = ch.trip || ch.interlock || ch.limited || ch.ramping || ch.locked || lock
  if (!any) return null
  if (fresh !== 'live') {
    const were = [ch.trip && 'tripped', ch.interlock && 'interlock open', ch.limited && 'at the current limit', ch.ramping && 'ramping', (ch.locked || lock) && 'locked'].filter(Boolean)
    return <span class="flags">{were.map(w => <Chip key={w} tone="idle" icon="stale" title="Last known">was {w}</Chip>)}</span>
  }
  return (
    <span class="flags">
      {ch.trip ? <Chip tone="bad" icon="trip" test="flag-trip">trip</Chip> : null}
      {ch.interlock ? <Chip tone="bad" icon="interlock" test="flag-interlock">interlock</Chip> : null}
      {ch.limited ? <Chip tone="warn" icon="limit" test="flag-limited" title="The current limit holds the voltage down">current limit</Chip> : null}
      {ch.ramping ? <Chip tone="info" icon="ramp" test="flag-ramping">ramping</Chip> : null}
      {ch.locked || lock ? <Chip tone="warn" icon="lock" test="flag-locked" title={lock && `${lock.reason} (${lock.user})`}>locked</Chip> : null}
    </span>
  )
}
