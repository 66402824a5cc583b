// Runs that are kept, the newest first. Filters and the page stand in the address.
import { get } from '../../api/client'
import type { RunRecord } from '../../api/types'
import { lostRun } from '../../live/lostRun'
import { live } from '../../live/store'
import { address, Link, queryOf, setQuery } from '../../router'
import { FilterField } from '../../ui/FilterField'
import { complete, type Run } from '../data/document'
import { between, took } from '../data/format'
import { Section, State, Time, Wrong } from '../parts/bits'
import { useFetched } from '../parts/use'

const page = 25
const states = ['configuring', 'running', 'finishing', 'finished', 'failed', 'aborted', 'interrupted']

export function RunList () {
  const q = queryOf(address.value)
  const filter = { procedure: q.get('procedure') ?? '', module: q.get('module') ?? '', state: q.get('state') ?? '', before: q.get('before') ?? '' }
  const now = live.run.value
  // One more than is shown tells whether there are older ones.
  const { value, error, busy } = useFetched(
    signal => get<{ runs: Run[] }>('/runs', { ...filter, before: /^\d+$/.test(filter.before) ? filter.before : undefined, limit: page + 1 }, signal),
    [filter.procedure, filter.module, filter.state, filter.before, now?.run, now?.state, live.hellos.value],
  )
  const runs = value?.runs.slice(0, page) ?? []
  const older = (value?.runs.length ?? 0) > page ? runs[runs.length - 1]?.run : undefined
  const set = (part: Partial<typeof filter>) => setQuery({ ...filter, before: '', ...part })
  const filtered = filter.procedure !== '' || filter.module !== '' || filter.state !== ''
  return (
    <Section id="runs" title="Runs that are kept">
      <form class="filters runs-filters" onSubmit={e => e.preventDefault()} aria-label="Filter runs">
        <Filter name="procedure" text={filter.procedure} onText={procedure => set({ procedure })} />
        <Filter name="module" text={filter.module} onText={module => set({ module })} />
        <div class="field">
          <label for="filter-state">State</label>
          <select id="filter-state" data-test="filter-state" value={filter.state} onChange={e => set({ state: e.currentTarget.value })}>
            <option value="">all</option>
            {states.map(s => <option key={s} value={s}>{s}</option>)}
          </select>
        </div>
        {filtered ? <button type="button" class="btn" data-test="filter-clear" onClick={() => setQuery({})}>Show all</button> : null}
      </form>
      {error ? <Wrong error={error} what="The runs cannot be read" /> : null}
      {value ? <List runs={runs} filtered={filtered} going={now} /> : busy ? <p aria-busy="true">Reading the runs…</p> : null}
      <nav class="row" aria-label="Pages of runs">
        {filter.before ? <button type="button" class="btn" data-test="newest" onClick={() => set({})}>Newest</button> : null}
        {older !== undefined ? <button type="button" class="btn" data-test="older" onClick={() => set({ before: String(older) })}>Older than run {older}</button> : null}
      </nav>
    </Section>
  )
}

function Filter ({ name, text, onText }: { name: string, text: string, onText: (t: string) => void }) {
  return <FilterField id={`filter-${name}`} label={`${name[0]?.toUpperCase()}${name.slice(1)}`} text={text} type="search" placeholder="all" test={`filter-${name}`} onText={onText} />
}

function List ({ runs, filtered, going }: { runs: Run[], filtered: boolean, going: RunRecord | null }) {
  const lost = lostRun() !== null
  if (runs.length === 0) return <p data-test="no-runs">{filtered ? 'No run fits.' : 'There are no runs yet.'}</p>
  return (
    <table class="runs-list" data-test="run-list">
      <caption class="hidden-visually">Runs, the newest first</caption>
      <thead><tr>{['Run', 'State', 'Procedure', 'Module', 'Asked for', 'Took', 'By', 'What was wrong'].map(h => <th key={h} scope="col">{h}</th>)}</tr></thead>
      <tbody>
        {runs.map(r => (
          <tr key={r.run} data-test={`run-${r.run}`}>
            <th scope="row"><Link to={`/runs/${r.run}`}>{r.run}</Link></th>
            <td class="runs-cell-state"><State state={going?.run === r.run && !complete(r) ? going.state : r.state} was={lost && going?.run === r.run && !complete(r)} />{complete(r) ? null : <span class="muted small"> not complete</span>}</td>
            <td data-head="Procedure">{r.procedure}</td>
            <td data-head="Module">{r.module}</td>
            <td data-head="Asked for"><Time at={r.asked} /></td>
            <td data-head="Took" class="nowrap">{r.start && r.end ? took(r.duration ?? between(r.start, r.end)) : null}</td>
            <td data-head="By">{r.user}</td>
            <td class="runs-cell-error">{r.error ? <span title={r.error}>{r.error}</span> : null}</td>
          </tr>
        ))}
      </tbody>
    </table>
  )
}
