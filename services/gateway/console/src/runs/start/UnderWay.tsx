// The run that is under way, or the last one, as run control says it.
import { useComputed } from '@preact/signals'
import { useEffect, useRef, useState } from 'preact/hooks'
import { Result } from '../../device/Result'
import { commands } from '../../live/commands'
import { lostRun, type LostRun } from '../../live/lostRun'
import { live } from '../../live/store'
import { Link } from '../../router'
import { may } from '../../session'
import { Icon } from '../../ui/icons'
import type { Live } from '../data/document'
import { clockTime } from '../../ui/format'
import { took } from '../data/format'
import { ended, means, underWay } from '../data/states'
import { tail } from '../data/tail'
import { Facts, Section, State, Time, Warn } from '../parts/bits'
import { AbortDialog } from './AbortDialog'
import { Stepper } from './Stepper'

// Now shows the record on the bus. On the page of a run, link is false.
export function Now ({ link = true }: { link?: boolean }) {
  const run = live.run.value as Live | null
  if (!run || run.run === 0) return <Section id="now" title="No run yet"><p>{live.link.value === 'connecting' ? 'Waiting for the gateway…' : 'There has never been a run in this laboratory.'}</p></Section>
  const going = underWay(run.state)
  const lost = lostRun()
  const title = going ? `Run ${run.run} ${lost ? 'was' : 'is'} under way` : `The last run: ${run.run}`
  return (
    <Section id="now" title={title} end={<>{link ? <State state={run.state} error={run.error} was={lost !== null} test="now-state" /> : null}{link ? <Link class="btn small" to={`/runs/${run.run}`} data-test="now-link">All of run {run.run}<Icon name="next" /></Link> : null}</>}>
      {lost ? <Warn test="now-stale">{lost.why}{Number.isFinite(lost.since) ? ` since ${clockTime(lost.since)}` : ''}. Not live: this is the last that is known of the run.</Warn> : live.link.value === 'ok' ? null : <Warn test="now-stale">Not live: this is how it was at {clockTime(live.heard.value)}.</Warn>}
      <div class="runs-now">
        <Stepper state={run.state} transitions={run.transitions} />
        {going ? <Bar run={run} lost={lost !== null} /> : null}
        {run.error ? <p class={ended(run.state) && run.state !== 'finished' ? 'note bad' : 'note warn'} data-test="now-error">{run.error}</p> : null}
        <Facts
          test="now-facts" of={[
            ['Procedure', run.procedure], ['Module', run.module], ['On', run.device], ['Asked for by', run.user], ['Asked for', run.asked ? <Time at={run.asked} /> : ''],
            [going ? 'For' : 'Took', <Elapsed key="e" run={run} lost={lost} />], ['Results', run.results],
          ]}
        />
        {going ? <Abort run={run} /> : null}
        <AbortResult run={run.run} />
        <Tail run={run.run} open={going} />
      </div>
    </Section>
  )
}

function Bar ({ run, lost }: { run: Live, lost: boolean }) {
  const known = typeof run.progress === 'number' && run.state === 'running'
  const percent = Math.round((run.progress ?? 0) * 100)
  const text = [known ? `${lost ? 'was at ' : ''}${percent} %` : '', run.phase || (means[run.state] ?? '')].filter(Boolean).join(' · ')
  return (
    <div class={`runs-bar ${lost ? 'is-stale' : ''}`} data-test="progress">
      {known || lost ? <progress max={1} value={run.progress ?? 0} aria-label={`Progress of run ${run.run}`} /> : <progress aria-label={`Progress of run ${run.run}`} />}
      <span data-test="progress-text">{text}</span>
    </div>
  )
}

// Elapsed is drawn four times a second, and nothing else with it.
function Elapsed ({ run, lost }: { run: Live, lost: LostRun | null }) {
  const to = ended(run.state) ? Date.parse(run.since ?? run.end ?? '') : lost ? lost.since : live.gatewayNow.value
  const s = (to - Date.parse(run.asked ?? run.since ?? '')) / 1000
  return <span data-test="elapsed">{took(underWay(run.state) ? Math.max(0, Math.floor(s)) : s)}</span>
}

function Abort ({ run }: { run: Live }) {
  const [open, setOpen] = useState(false)
  const why = may('operator') ? '' : 'Aborting a run needs the role operator.'
  return (
    <div class="row">
      <button type="button" class="btn danger" data-test="abort" disabled={why !== ''} aria-describedby={why ? 'abort-why' : undefined} onClick={() => setOpen(true)}>Abort run {run.run}…</button>
      {why ? <span id="abort-why" class="runs-why"><Icon name="lock" />{why}</span> : null}
      <AbortDialog run={run} open={open} close={() => setOpen(false)} />
    </div>
  )
}

// AbortResult is what came of the abort that this page has sent; it stays when the run has ended.
function AbortResult ({ run }: { run: number }) {
  const last = useComputed(() => commands.value.find(c => c.device === 'run' && c.command.op === 'abort' && c.run === run)).value
  return last ? <Result sent={last} /> : null
}

// Tail are the last lines of the program as they come. It stays at the end unless one has scrolled up.
function Tail ({ run, open }: { run: number, open: boolean }) {
  const ref = useRef<HTMLPreElement>(null)
  const atEnd = useRef(true)
  const t = tail.value
  const lines = t.run === run ? t.lines : []
  useEffect(() => {
    const e = ref.current
    if (e && atEnd.current) e.scrollTop = e.scrollHeight
  }, [t])
  if (lines.length === 0) return open ? <p class="muted small">No line of its log has come since this page was opened.</p> : null
  const look = (e: HTMLElement) => { atEnd.current = e.scrollHeight - e.scrollTop - e.clientHeight < 24 }
  return (
    <div>
      <h3 class="label" id="tail-title">Last lines of its log{t.dropped > 0 ? ` (${t.dropped} were too many to be sent; the file has them)` : ''}</h3>
      <pre class="runs-log" ref={ref} tabIndex={0} role="log" aria-live="off" aria-labelledby="tail-title" data-test="tail" onScroll={e => look(e.currentTarget)}>
        {lines.map((l, i) => <span key={i} class={l.stream === 'err' ? 'is-err' : undefined}>{l.stream === 'err' ? '! ' : '  '}{l.text}{'\n'}</span>)}
      </pre>
    </div>
  )
}
