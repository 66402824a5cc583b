// All devices at a glance. The page itself is drawn when devices come and go; each card when its own device says something.
import { useComputed } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { live } from '../live/store'
import { AllOff } from './AllOff'
import { OtherCard, SensorCard } from './cards'
import { OutsideSensors } from './OutsideSensors'
import { PsuCard } from './PsuCard'
import { RunNow } from './RunNow'
import { Services } from './Services'

export function Overview () {
  // A text, so that it is equal when nothing has changed.
  const kinds = useComputed(() => live.names.value.map(name => `${name} ${live.device(name).value?.meta?.kind ?? ''}`).join('\n'))
  const outside = useComputed(() => live.sensors.value.length > 0)
  const all = kinds.value === '' ? [] : kinds.value.split('\n').map(l => l.split(' ') as [string, string])
  const of = (fits: (kind: string) => boolean) => all.filter(([, kind]) => fits(kind)).map(([name]) => name)
  return (
    <div class="page" data-test="overview">
      <div class="page-head"><h1 tabIndex={-1}>Overview</h1><span class="spring" /><AllOff /></div>
      <RunNow />
      {live.hellos.value > 0 && all.length === 0 && <p class="note">No device has said anything on the bus yet. Is a driver running?</p>}
      <Section id="h-psu" title="Power supplies" grid="grid" names={of(k => k === 'psu')} card={n => <PsuCard key={n} name={n} />} />
      <Section id="h-sensors" title="Sensors" grid="grid narrow" names={of(k => k === 'sensor')} card={n => <SensorCard key={n} name={n} />} />
      {outside.value && <OutsideSensors />}
      <Section id="h-others" title="Other devices" grid="grid narrow" names={of(k => k !== 'psu' && k !== 'sensor')} card={n => <OtherCard key={n} name={n} />} />
      <Services />
    </div>
  )
}

interface SectionProps { id: string, title: string, grid: string, names: string[], card: (name: string) => ComponentChildren }

function Section ({ id, title, grid, names, card }: SectionProps) {
  if (names.length === 0) return null
  return <section class="section" aria-labelledby={id}><h2 id={id}>{title}</h2><div class={grid}>{names.map(card)}</div></section>
}
