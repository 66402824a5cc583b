// The run under way, or the last.
import { lostRun } from '../live/lostRun'
import { live } from '../live/store'
import { Link } from '../router'
import { underWay } from '../runs/data/states'
import { Chip, type Tone } from '../ui/Chip'
import { clockTime, dateTime } from '../ui/format'

const tones: Record<string, Tone> = { configuring: 'info', running: 'info', finishing: 'info', finished: 'ok', failed: 'bad', interrupted: 'bad', aborted: 'warn' }

export function RunNow () {
  const r = live.run.value
  if (!r || r.state === 'idle' || !r.run) return null
  const under = underWay(r.state)
  const percent = Math.round((r.progress ?? 0) * 100)
  const lost = lostRun()
  const stale = lost !== null || live.link.value !== 'ok'
  return (
    <section class="card" aria-label={!under ? 'Last run' : lost ? 'Run that was under way' : 'Run under way'} data-test="run-now">
      <div class="run-now">
        <strong><Link to={`/runs/${r.run}`}>{under ? 'Run' : 'Last run:'} {r.run}</Link></strong>
        <Chip tone={stale ? 'idle' : tones[r.state] ?? 'idle'} icon={stale ? 'stale' : undefined}>{stale ? `was ${r.state}` : r.state}</Chip>
        <span>{[r.procedure, r.module].filter(Boolean).join(' · ')}</span>
        {under && <div class={`bar ${stale ? 'stale' : ''}`} role="progressbar" aria-label={`Progress of run ${r.run}`} aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}><div style={{ width: `${percent}%` }} /></div>}
        {under && <span class="num">{percent} % {r.phase}</span>}
        {lost && <span class="muted" data-test="run-lost">{lost.why}{Number.isFinite(lost.since) && ` since ${clockTime(lost.since)}`}: not live.</span>}
        {!under && r.end && <span class="muted">{dateTime(r.end)}</span>}
        {r.error && <span class="muted">{r.error}</span>}
      </div>
    </section>
  )
}
