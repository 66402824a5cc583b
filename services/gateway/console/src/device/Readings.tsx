// The values of a device without channels.
import type { Device } from '../api/types'
import type { Freshness } from '../live/clock'
import { Link } from '../router'
import { Value } from '../ui/Value'

export function Readings ({ d, fresh }: { d: Device, fresh: Freshness }) {
  const status = d.status && !Array.isArray(d.status) ? d.status as Record<string, unknown> : {}
  const skip = new Set(['seq', 'boot', 'time'])
  const keys = [...new Set([...Object.keys(d.meta?.fields ?? {}), ...Object.keys(status)])].filter(k => !skip.has(k))
  return (
    <section class="section" aria-label="Values">
      <dl class="readings big card">
        {keys.map(k => {
          const v = status[k]
          return <div key={k}><dt>{k}</dt><dd>{typeof v === 'string' ? <span class={`value ${fresh === 'live' ? '' : 'stale'}`}>{v || '—'}</span> : <Value v={v as number | undefined} unit={d.meta?.fields[k]?.unit} fresh={fresh} test={k} />}</dd></div>
        })}
      </dl>
      {d.meta?.kind === 'calibration' && <p>It executes runs: <Link to="/runs">start one, or look at those that are kept</Link>.</p>}
    </section>
  )
}
