// A measured value, which is never shown as live when it is not.
import type { Freshness } from '../live/clock'
import { Icon } from './icons'
import { shown, shownText } from './format'

interface ValueProps { v: number | undefined, unit?: string, max?: number, fresh: Freshness, test?: string }

export function Value ({ v, unit, max, fresh, test }: ValueProps) {
  if (v === undefined || typeof v !== 'number') return <span class="value muted" data-test={test} title="The instrument does not tell it">n/a</span>
  if (fresh === 'none') return <span class="value invalid" data-test={test} data-fresh="none">—</span>
  const s = shown(v, unit, max)
  if (fresh === 'invalid') {
    return <span class="value invalid" data-test={test} data-fresh="invalid">—<span class="last-known"> last {shownText(v, unit, max)}</span></span>
  }
  return (
    <span class={`value ${fresh}`} data-test={test} data-fresh={fresh}>
      {fresh === 'stale' && <><span class="old"><Icon name="stale" size={11} /></span><span class="hidden-visually">last known: </span></>}
      {s.text}{s.unit && <span class="unit">{s.unit}</span>}
    </span>
  )
}
