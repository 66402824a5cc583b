// An outside sensor.
import type { Reading } from '../api/types'
import { readingAge, readingFresh } from '../live/sensor'
import { live } from '../live/store'
import { PlotPanel } from '../plot/PlotPanel'
import { Link } from '../router'
import { Value } from '../ui/Value'

export default function SensorPage ({ name }: { name: string }) {
  const mine = live.sensors.value.filter(r => r.sensor === name)
  const link = live.link.value
  if (mine.length === 0) return <div class="page"><h1 tabIndex={-1}>{name}</h1><p>Nothing was heard of an outside sensor of this name. <Link to="/">To the overview</Link></p></div>
  const fields = mine.map(r => ({ name: r.measurement, unit: '' }))
  return (
    <div class="page">
      <h1 tabIndex={-1}>{name} <span class="muted small">outside sensor</span></h1>
      <dl class="readings big card">
        {mine.map(r => {
          const now = live.gatewayNow.value
          return <div key={r.measurement}><dt>{r.measurement}</dt><dd><Value v={r.value} fresh={readingFresh(r, now, link)} /> <span class="muted small">{ago(r, now)}</span></dd></div>
        })}
      </dl>
      <PlotPanel device={name} sensor period={30} fields={fields} channels={[]} chosen={fields.map(f => f.name)} />
    </div>
  )
}

function ago (r: Reading, now: number): string {
  const age = readingAge(r, now)
  return age === null ? 'kept by the broker, nobody knows since when' : `${age} ago`
}
