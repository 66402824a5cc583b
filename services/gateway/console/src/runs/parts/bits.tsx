// Small pieces of the pages about runs.
import type { ComponentChildren } from 'preact'
import { ApiError, says } from '../../api/client'
import { Chip } from '../../ui/Chip'
import { dateTime } from '../../ui/format'
import { Icon } from '../../ui/icons'
import { icons, means, tone } from '../data/states'

// State is a run's. With `was` it is the last that is known.
export function State ({ state, error = '', test, was = false }: { state: string, error?: string, test?: string, was?: boolean }) {
  if (was) return <Chip tone="idle" icon="stale" title="Last known" test={test}>was {state}</Chip>
  return <Chip tone={tone(state, error)} icon={icons[state] ?? 'none'} title={means[state] ?? ''} test={test}>{state}</Chip>
}

// Wrong is a refusal or failure, as it was said.
export function Wrong ({ error, what }: { error: unknown, what: string }) {
  const closest = error instanceof ApiError ? (error.problem as { closest?: number | null }).closest : undefined
  const title = error instanceof ApiError && error.problem.title !== says(error) ? error.problem.title : ''
  return (
    <div class="note bad" role="alert" data-test="run-problem">
      <strong>{[what, title].filter(Boolean).join(': ')}.</strong> {says(error)}
      {typeof closest === 'number' ? <> The closest valid value is {closest}.</> : null}
    </div>
  )
}

// Warn is what one should know, in a box with a sign.
export function Warn ({ children, test }: { children: ComponentChildren, test?: string }) {
  return <p class="note warn runs-sign" data-test={test}><Icon name="warn" size={16} /><span>{children}</span></p>
}

export function Time ({ at }: { at?: string }) {
  return at ? <time class="nowrap" dateTime={at} title={at}>{dateTime(at)}</time> : <>–</>
}

// Facts are names and what they are; those without a value are left out.
export function Facts ({ of, test }: { of: readonly (readonly [string, ComponentChildren])[], test?: string }) {
  const known = of.filter(([, v]) => v !== undefined && v !== null && v !== '')
  return <dl class="runs-facts" data-test={test}>{known.map(([name, v]) => <div key={name}><dt>{name}</dt><dd>{v}</dd></div>)}</dl>
}

interface SectionProps { id: string, title: string, note?: ComponentChildren, end?: ComponentChildren, children: ComponentChildren }

export function Section ({ id, title, note, end, children }: SectionProps) {
  return (
    <section class="card" aria-labelledby={`${id}-title`} id={id} data-test={`card-${id}`}>
      <div class="card-head"><h2 id={`${id}-title`}>{title}</h2>{end}</div>
      {note ? <p class="muted small">{note}</p> : null}
      {children}
    </section>
  )
}

// A head that begins with a dot is heard and not seen.
interface TableProps { caption: string, heads: readonly string[], children: ComponentChildren, test?: string, numeric?: readonly number[] }

// Wide is a table that scrolls by itself where there is no room, by keyboard too.
export function Wide ({ caption, heads, children, test, numeric = [] }: TableProps) {
  return (
    <div class="scroll runs-scroll" tabIndex={0} role="region" aria-label={caption}>
      <table data-test={test}>
        <caption>{caption}</caption>
        <thead><tr>{heads.map((h, i) => <th key={i} scope="col" class={numeric.includes(i) ? 'num' : undefined}>{h.startsWith('.') ? <span class="hidden-visually">{h.slice(1)}</span> : h}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  )
}
