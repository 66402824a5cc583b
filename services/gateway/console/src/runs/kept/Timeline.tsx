// The transitions of a run, with how long it was in each state.
import { clockTime } from '../../ui/format'
import { Icon } from '../../ui/icons'
import type { Run, Transition } from '../data/document'
import { between, took } from '../data/format'
import { icons, tone } from '../data/states'
import { Section, Time } from '../parts/bits'

export function Timeline ({ run }: { run: Run }) {
  const all = run.transitions ?? []
  if (all.length === 0) return null
  return (
    <Section id="timeline" title="What happened when">
      <ol class="plain runs-timeline" data-test="timeline">
        {all.map((t, i) => <Step key={i} of={t} next={all[i + 1]} first={i === 0} />)}
      </ol>
    </Section>
  )
}

function Step ({ of, next, first }: { of: Transition, next: Transition | undefined, first: boolean }) {
  const there = between(of.time, next?.time)
  return (
    <li class={`is-${tone(of.to)}`}>
      <span class="runs-dot"><Icon name={icons[of.to] ?? 'none'} /></span>
      <div>
        <strong>{of.to}</strong> <span class="muted">by {of.name}, {first ? <Time at={of.time} /> : <time dateTime={of.time} title={of.time}>{clockTime(of.time)}</time>}{Number.isNaN(there) ? '' : `, for ${took(there)}`}</span>
        {of.reason ? <div>{of.reason}</div> : null}
      </div>
    </li>
  )
}
