// Sensors, and what is neither a supply nor a sensor.
import { live } from '../live/store'
import { Value } from '../ui/Value'
import { DeviceHead } from './DeviceHead'

export function SensorCard ({ name }: { name: string }) {
  const d = live.device(name).value
  const fresh = live.freshness(name).value
  const status = d?.status && !Array.isArray(d.status) ? d.status as Record<string, unknown> : {}
  const fields = Object.keys(d?.meta?.fields ?? {})
  const shown = fields.length > 0 ? fields : Object.keys(status).filter(k => k !== 'seq' && typeof status[k] === 'number')
  return (
    <article class="card" data-test={`device-${name}`} data-fresh={fresh} aria-label={`Sensor ${name}`}>
      <DeviceHead name={name} />
      <dl class="readings">
        {shown.map(f => (
          <div key={f}><dt>{f}</dt><dd><Value v={number(status[f])} unit={d?.meta?.fields[f]?.unit} fresh={fresh} test={f} /></dd></div>
        ))}
      </dl>
    </article>
  )
}

export function OtherCard ({ name }: { name: string }) {
  const d = live.device(name).value
  const fresh = live.freshness(name).value
  const status = d?.status && !Array.isArray(d.status) ? d.status as Record<string, unknown> : {}
  const phase = typeof status.phase === 'string' ? status.phase : ''
  return (
    <article class="card" data-test={`device-${name}`} data-fresh={fresh} aria-label={`Device ${name}`}>
      <DeviceHead name={name} />
      {d?.meta?.kind === 'calibration'
        ? <p class="muted">{fresh !== 'live' ? 'Last known: ' : ''}{status.running ? `executes run ${String(status.run)}${phase ? `, ${phase}` : ''}` : 'executes no run'}</p>
        : <p class="muted">{d?.meta ? `A device of the kind ${d.meta.kind}` : 'It has not described itself yet.'}</p>}
    </article>
  )
}

function number (v: unknown): number | undefined { return typeof v === 'number' ? v : undefined }
