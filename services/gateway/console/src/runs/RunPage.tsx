// All that is kept of a run, and how it goes on while it is under way.
import { useEffect, useState } from 'preact/hooks'
import { ApiError, get } from '../api/client'
import { lostRun } from '../live/lostRun'
import { live } from '../live/store'
import { Link } from '../router'
import { Icon } from '../ui/icons'
import { complete, type Live, type Run } from './data/document'
import { ended, underWay } from './data/states'
import { CapsuleView, Refused } from './kept/Capsule'
import { CompareRuns } from './kept/CompareRuns'
import { Files } from './kept/Files'
import { Head } from './kept/Head'
import { Log } from './kept/Log'
import { Settings } from './kept/Settings'
import { Timeline } from './kept/Timeline'
import { State, Warn, Wrong } from './parts/bits'
import { useFetched } from './parts/use'
import { Results } from './results/Results'
import { Now } from './start/UnderWay'
import './runs.css'

const soon = 2000 // ms after which a document that is not complete is read again …
const later = 10_000 // … and after the first half minute

export default function RunPage ({ run }: { run: number }) {
  const [again, setAgain] = useState(0)
  const record = live.run.value as Live | null
  const mine = record?.run === run ? record : undefined
  const { value, error, busy } = useFetched(signal => get<Run>(`/runs/${run}`, undefined, signal), [run, again, mine?.state, mine?.results, live.hellos.value])
  const doc = value?.run === run ? value : undefined
  const missing = error instanceof ApiError && error.status === 404
  // The document of a run that has ended follows within seconds, later if the database is away; nothing on the stream says when.
  const waiting = (doc !== undefined && !complete(doc)) || (error !== undefined && !(missing && !mine))
  useEffect(() => {
    if (!waiting || busy) return
    const timer = setTimeout(() => setAgain(again + 1), again < 15 ? soon : later)
    return () => clearTimeout(timer)
  }, [waiting, busy, again])
  useEffect(() => setAgain(0), [run])

  const lost = mine !== undefined && lostRun() !== null
  const going = mine !== undefined && underWay(mine.state)
  return (
    <div class="page runs" data-test="run-page" data-complete={doc !== undefined && complete(doc)}>
      <div class="page-head">
        <h1 tabIndex={-1}>Run {run}</h1>
        {doc || mine ? <State state={mine?.state ?? doc?.state ?? ''} error={mine?.error} was={lost} test="run-state" /> : null}
        <span class="spring" />
        <nav class="row" aria-label="Other runs">
          {run > 1 ? <Link class="btn small" to={`/runs/${run - 1}`} data-test="previous">Run {run - 1}</Link> : null}
          <Link class="btn small" to={`/runs/${run + 1}`} data-test="next">Run {run + 1}<Icon name="next" /></Link>
          <Link class="btn small" to="/runs">All runs</Link>
        </nav>
      </div>
      {going ? <Now link={false} /> : null}
      <Completeness doc={doc} record={mine} lost={lost} />
      {missing && mine ? <Warn test="incomplete">The database has nothing of this run yet; it is asked again until it has.</Warn> : error ? <Wrong error={error} what={doc ? 'It could not be read again' : missing ? `Run ${run}` : `Run ${run} cannot be read`} /> : null}
      {!doc && !error ? <p role="status" aria-busy="true">Reading run {run}…</p> : null}
      {!doc && !going && mine ? <Now link={false} /> : null}
      {doc ? <Kept run={doc} /> : null}
    </div>
  )
}

function Completeness ({ doc, record, lost }: { doc: Run | undefined, record: Live | undefined, lost: boolean }) {
  if (!doc || complete(doc)) return null
  if (record && lost) return <Warn test="incomplete">This run was under way when it was last heard of. What is below is what is kept so far.</Warn>
  if (record && underWay(record.state)) return <Warn test="incomplete">This run is under way. What is below is what is kept so far; it is read again as the run goes on.</Warn>
  const how = record && ended(record.state) ? `The run is ${record.state}. ` : ''
  return <Warn test="incomplete">{how}Not all of it is in the database yet: this page reads it again until it is. That takes some seconds, longer when the database is away.</Warn>
}

// Contents leads to the parts of a long page.
function Contents ({ run }: { run: Run }) {
  const files = (run.files ?? []).length > 0
  const parts = [
    ['#results', 'Results', run.results || run.files?.some(f => f.read === 'csv')], ['#settings', 'Settings', true], ['#timeline', 'What happened when', run.transitions?.length],
    ['#capsule', 'Devices', run.capsule], ['#refused', 'Refused commands', run.capsule?.refused?.length], ['#log', 'Log', run.log?.length], ['#files', 'Files', files], ['#compare', 'Compare', true],
  ] as const
  return <nav class="runs-contents" aria-label="On this page">{parts.map(([to, name, there]) => there ? <a key={to} href={to}>{name}</a> : null)}</nav>
}

function Kept ({ run }: { run: Run }) {
  return (
    <>
      <Head run={run} />
      <Contents run={run} />
      <div id="results" class="section"><Results key={run.stored} run={run} /></div>
      <Settings run={run} />
      <Timeline run={run} />
      <CapsuleView run={run} />
      <Refused run={run} />
      <Log run={run} />
      <Files run={run} />
      <CompareRuns run={run} />
    </>
  )
}
