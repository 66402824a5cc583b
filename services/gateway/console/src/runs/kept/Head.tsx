// What a run was, in a few lines.
import type { Run } from '../data/document'
import { between, took } from '../data/format'
import { Facts, Section, Time, Warn } from '../parts/bits'

export function Head ({ run }: { run: Run }) {
  const bad = run.state !== 'finished' && run.state !== 'finishing' && run.state !== 'running'
  const program = [run.program, ...(run.arguments ?? [])].filter(Boolean).join(' ')
  return (
    <Section id="head" title={[run.procedure, run.module].filter(Boolean).join(' of ')}>
      {run.error ? bad ? <p class="note bad" data-test="run-error">{run.error}</p> : <Warn test="run-error">{run.error}</Warn> : null}
      <Facts
        test="run-facts" of={[
          ['Asked for', run.asked ? <><Time at={run.asked} />{run.user ? ` by ${run.user}` : ''}</> : ''],
          ['Program started', run.start ? <Time at={run.start} /> : ''],
          ['Program ended', run.end ? <Time at={run.end} /> : ''],
          ['Took', run.start && run.end ? took(run.duration ?? between(run.start, run.end)) : ''],
          ['On', run.device],
          ['Exit code', run.exit === undefined ? '' : String(run.exit)],
          ['Ended by signal', run.signal],
          ['Results', run.results_state],
          ['In the database', run.stored ? <Time at={run.stored} /> : ''],
        ]}
      />
      <details class="runs-more">
        <summary>Program, versions and identity</summary>
        <Facts
          of={[
            ['Program', program ? <code key="p">{program}</code> : ''],
            ...Object.entries(run.versions ?? {}).map(([part, v]) => [`Version of ${part}`, v] as const),
            ['Command', run.id],
            ['Unique id', run.uid],
          ]}
        />
      </details>
    </Section>
  )
}
