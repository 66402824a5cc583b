// A JSON result as tables.
import { sections, show, type Grid } from '../data/values'
import { Facts, Section, Warn, Wide } from '../parts/bits'

const most = 200 // rows, or facts of one part

export function JsonResult ({ name, value }: { name: string, value: unknown }) {
  const all = sections(value)
  return (
    <Section id={`result-${name}`} title={name}>
      <div class="runs-json">
        {all.map(s => (
          <div key={s.name} class={s.grid ? 'is-wide' : undefined}>
            {s.name ? <h3>{s.name}</h3> : null}
            {s.grid ? <GridTable name={s.name || name} of={s.grid} /> : <Facts of={s.facts.slice(0, most).map(([k, v]) => [k, show(v)] as const)} />}
            {(s.grid?.rows.length ?? s.facts.length) > most ? <Warn>Only the first {most} are shown; the file has all of them.</Warn> : null}
          </div>
        ))}
      </div>
    </Section>
  )
}

function GridTable ({ name, of }: { name: string, of: Grid }) {
  const numeric = of.heads.flatMap((_, i) => of.rows.every(r => typeof r[i] === 'number' || r[i] === undefined) ? [i] : [])
  return (
    <Wide caption={`${name}: ${of.rows.length}`} heads={of.heads.map(h => h.replaceAll('/', ' '))} numeric={numeric} test={`grid-${name}`}>
      {of.rows.slice(0, most).map((r, i) => <tr key={i}>{r.map((v, k) => <td key={k} class={numeric.includes(k) ? 'num' : undefined}>{show(v)}</td>)}</tr>)}
    </Wide>
  )
}
