// This run and another, side by side. The other stands in the address, so that a comparison can be sent to somebody.
import { useMemo, useState } from 'preact/hooks'
import { get } from '../../api/client'
import { address, Link, queryOf, setQuery } from '../../router'
import { compare, type Difference } from '../data/compare'
import type { Run } from '../data/document'
import { number, show } from '../data/values'
import { Section, State, Time, Wide, Wrong } from '../parts/bits'
import { useFetched } from '../parts/use'

const most = 500 // rows of each part

export function CompareRuns ({ run }: { run: Run }) {
  const text = queryOf(address.value).get('with') ?? ''
  const other = /^[1-9]\d{0,14}$/.test(text) ? Number(text) : 0
  const [typed, setTyped] = useState(text)
  const wrong = typed !== '' && !/^[1-9]\d{0,14}$/.test(typed) ? 'Give the number of a run.' : Number(typed) === run.run ? 'That is this run.' : ''
  return (
    <Section id="compare" title="Compare with another run">
      <form class="runs-pick" onSubmit={e => { e.preventDefault(); if (!wrong) setQuery({ with: typed }) }}>
        <div class="field">
          <label for="compare-with">Run</label>
          <input id="compare-with" data-test="compare-with" type="text" inputMode="numeric" autoComplete="off" value={typed} aria-invalid={wrong !== ''} aria-describedby="compare-error" onInput={e => setTyped(e.currentTarget.value.trim())} />
        </div>
        <button type="submit" class="btn" data-test="compare-go">Compare</button>
        {run.run > 1 && other === 0 ? <button type="button" class="btn" onClick={() => { setTyped(String(run.run - 1)); setQuery({ with: String(run.run - 1) }) }}>With run {run.run - 1}</button> : null}
        <span class="error small runs-why" id="compare-error">{wrong}</span>
      </form>
      {other > 0 && other !== run.run ? <Side key={other} run={run} other={other} /> : null}
    </Section>
  )
}

function Side ({ run, other }: { run: Run, other: number }) {
  const [all, setAll] = useState(false)
  const { value, error } = useFetched(signal => get<Run>(`/runs/${other}`, undefined, signal), [other])
  // The other is on the left: differences say what has become of it here.
  const found = useMemo(() => value ? compare(value, run) : [], [value, run])
  if (error) return <Wrong error={error} what={`Run ${other} cannot be read`} />
  if (!value) return <p role="status" aria-busy="true">Reading run {other}…</p>
  const equal = found.filter(d => d.equal).length
  return (
    <div class="stack" data-test="comparison">
      <p class="row">{[value, run].map(r => <span key={r.run} class="row"><Link to={`/runs/${r.run}`}>Run {r.run}</Link> <State state={r.state} /> {r.procedure} {r.module} <Time at={r.start ?? r.asked} /></span>)}</p>
      <label class="check runs-fit"><input type="checkbox" checked={all} data-test="compare-all" onChange={e => setAll(e.currentTarget.checked)} />what is equal, too ({equal})</label>
      {found.length === equal ? <p class="note ok">No difference: {equal} settings and results are equal.</p> : null}
      {(['setting', 'result'] as const).map(part => <Part key={part} part={part} a={value.run} b={run.run} of={inOrder(found.filter(d => d.part === part && (all || !d.equal)))} all={all} />)}
    </div>
  )
}

// inOrder has what is long after what is short: configurations after parameters and setpoints, each chip after all of them together.
const inOrder = (of: Difference[]): Difference[] => {
  const listed = (d: Difference) => d.part === 'result' ? /\/\d+(?:\/|$)/.test(d.path) : d.path.startsWith('configurations/')
  return [...of.filter(d => !listed(d)), ...of.filter(listed)]
}

function Part ({ part, a, b, of, all }: { part: Difference['part'], a: number, b: number, of: Difference[], all: boolean }) {
  if (of.length === 0) return null
  const what = part === 'setting' ? 'Settings' : 'Results'
  const cut = of.length > most ? `, the first ${most} of ${of.length}` : ''
  return (
    <Wide caption={`${what}${all ? '; ≠ marks what differs' : ' that differ'}${cut}`} heads={['.Differs', what, `Run ${a}`, `Run ${b}`, 'Difference', '.Relative difference']} numeric={[2, 3, 4, 5]} test={`compare-${part}s`}>
      {of.slice(0, most).map(d => (
        <tr key={d.path} class={d.equal ? undefined : 'is-different'}>
          <td>{d.equal ? '' : <span title="differs" aria-label="differs">≠</span>}</td>
          <th scope="row">{d.path}</th>
          <td class="num">{show(d.a)}</td><td class="num">{show(d.b)}</td>
          <td class="num nowrap">{d.delta === undefined || d.equal ? '' : signed(d.delta)}</td>
          <td class="num nowrap">{d.relative === undefined || d.equal ? '' : `${signed(d.relative * 100, 3)} %`}</td>
        </tr>
      ))}
    </Wide>
  )
}

const signed = (x: number, digits = 6): string => `${x > 0 ? '+' : x < 0 ? '−' : ''}${number(Math.abs(x), digits)}`
