// All devices at a glance.
import { live } from '../live/store'
import { StateChip } from '../ui/Chip'
import { AllOff } from './AllOff'
import { OtherCard, SensorCard } from './cards'
import { PsuCard } from './PsuCard'
import { OutsideSensors } from './OutsideSensors'
import { RunNow } from './RunNow'

export function Overview () {
  const kinds = live.names.value.map(name => [name, live.device(name).value?.meta?.kind] as const)
  const of = (fits: (kind: string | undefined) => boolean) => kinds.filter(([, kind]) => fits(kind)).map(([name]) => name)
  const supplies = of(k => k === 'psu')
  const sensors = of(k => k === 'sensor')
  const others = of(k => k !== 'psu' && k !== 'sensor')
  return (
    <div class="page" data-test="overview">
      <div class="page-head"><h1 tabIndex={-1}>Overview</h1><span class="spring" /><AllOff /></div>
      <RunNow />
      {live.hellos.value > 0 && kinds.length === 0 && <p class="note">No device has said anything on the bus yet. Is a driver running?</p>}
      {supplies.length > 0 && <section class="section" aria-labelledby="h-psu"><h2 id="h-psu">Power supplies</h2><div class="grid">{supplies.map(n => <PsuCard key={n} name={n} />)}</div></section>}
      {sensors.length > 0 && <section class="section" aria-labelledby="h-sensors"><h2 id="h-sensors">Sensors</h2><div class="grid narrow">{sensors.map(n => <SensorCard key={n} name={n} />)}</div></section>}
      {live.sensors.value.length > 0 && <OutsideSensors />}
      {others.length > 0 && <section class="section" aria-labelledby="h-others"><h2 id="h-others">Other devices</h2><div class="grid narrow">{others.map(n => <OtherCard key={n} name={n} />)}</div></section>}
      {live.services.value.length > 0 && (
        <section class="section" aria-labelledby="h-services">
          <h2 id="h-services">Services</h2>
          <ul class="plain strip">
            {live.services.value.map(s => <li key={s.name} data-test={`service-${s.name}`}><strong>{s.name}</strong><StateChip state={s.state?.state} error={s.state?.error} />{s.state?.error && <span class="small muted">{s.state.error}</span>}</li>)}
          </ul>
        </section>
      )}
    </div>
  )
}
