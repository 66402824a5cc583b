// Where a run is on its way.
import { Icon, type IconName } from '../../ui/icons'
import type { Transition } from '../data/document'
import { icons, steps, type Mark } from '../data/states'

const words: Record<Mark, string> = { done: 'done', now: 'now', later: 'to come', skipped: 'never came to it', good: 'ended so', bad: 'ended so' }
const signs: Partial<Record<Mark, IconName>> = { done: 'ok', later: 'none', skipped: 'close' }

export function Stepper ({ state, transitions }: { state: string, transitions?: readonly Transition[] }) {
  return (
    <ol class="plain runs-steps" aria-label="Where the run is" data-test="stepper" data-state={state}>
      {steps(state, transitions).map(s => (
        <li key={s.state} class={`is-${s.mark}`} aria-current={s.mark === 'now' ? 'step' : undefined}>
          <span class="runs-dot"><Icon name={signs[s.mark] ?? icons[s.state] ?? 'none'} /></span>
          <span>{s.state}<span class="hidden-visually">: {words[s.mark]}</span></span>
        </li>
      ))}
    </ol>
  )
}
