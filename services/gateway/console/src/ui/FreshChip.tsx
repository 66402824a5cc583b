// How old a device's values are, in words; drawn again by itself as they age.
import { useComputed } from '@preact/signals'
import type { Freshness } from '../live/clock'
import { live } from '../live/store'
import { Chip } from './Chip'
import { clockTime, duration } from './format'
import type { IconName } from './icons'

const look: Record<Freshness, { tone: 'ok' | 'warn' | 'bad' | 'idle', icon: IconName, word: string }> = {
  live: { tone: 'ok', icon: 'live', word: 'live' },
  stale: { tone: 'warn', icon: 'stale', word: 'stale' },
  invalid: { tone: 'bad', icon: 'bad', word: 'no values' },
  none: { tone: 'idle', icon: 'none', word: 'no values yet' },
}

export function FreshChip ({ device }: { device: string }) {
  const text = useComputed(() => {
    const f = live.freshness(device).value
    const d = live.device(device).value
    if (!d || f === 'none' || f === 'live') return look[f].word
    return `${look[f].word} · last at ${clockTime(d.at)}, ${duration(live.gatewayNow.value - d.at)} ago`
  })
  const f = live.freshness(device).value
  return <span data-fresh={f} data-test="freshness"><Chip tone={look[f].tone} icon={look[f].icon}>{text.value}</Chip></span>
}
