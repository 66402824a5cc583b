// Sensors that are not ours. They have no period, so their age is said and judged by the reader; past a minute it is marked.
import { readingAge, readingFresh } from '../live/sensor'
import { live } from '../live/store'
import { Link } from '../router'
import { Value } from '../ui/Value'

export function OutsideSensors () {
  return (
    <section class="section" aria-labelledby="h-outside">
      <h2 id="h-outside">Outside sensors</h2>
      <div class="card scroll outside" tabIndex={0} role="region" aria-label="Values of outside sensors">
        <table>
          <caption class="hidden-visually">Values of sensors that are not the stack's own</caption>
          <thead><tr><th scope="col">Sensor</th><th scope="col">Measurement</th><th scope="col" class="num">Value</th><th scope="col">Age</th></tr></thead>
          <tbody>
            {live.sensors.value.map(r => <Row key={`${r.sensor}/${r.measurement}`} {...r} />)}
          </tbody>
        </table>
      </div>
    </section>
  )
}

function Row ({ sensor, measurement, value, at }: { sensor: string, measurement: string, value: number, at: number }) {
  const now = live.gatewayNow.value
  return (
    <tr data-test={`sensor-${sensor}-${measurement}`}>
      <th scope="row"><Link to={`/sensor/${encodeURIComponent(sensor)}`}>{sensor}</Link></th>
      <td>{measurement}</td>
      <td class="num"><Value v={value} fresh={readingFresh({ at }, now, live.link.value)} /></td>
      <td class="muted nowrap">{readingAge({ at }, now) ?? 'not known'}</td>
    </tr>
  )
}
