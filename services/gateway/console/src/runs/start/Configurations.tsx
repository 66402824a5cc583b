// Which configurations the transitions of a run need, by their names in the database.
import { says } from '../../api/client'
import { Warn } from '../parts/bits'

const transitions = [
  ['configure', 'Before anything', 'Sensors that must be fine before the run has its number.'],
  ['run', 'Before the program', 'Supplies ramp up; the last check before the program.'],
  ['finish', 'After the program', 'Only where it has ended well.'],
  ['end', 'At the end', 'Supplies ramp down, however the run ends.'],
] as const

interface Props { names: string[] | undefined, error: unknown, chosen: Record<string, string>, onChoose: (c: Record<string, string>) => void }

export function Configurations ({ names, error, chosen, onChoose }: Props) {
  const known = [...new Set([...names ?? [], ...Object.values(chosen).filter(Boolean)])]
  return (
    <fieldset>
      <legend>Supplies and sensors around the run</legend>
      {error ? <Warn test="configurations-problem">The names of configurations are not known: {says(error)}</Warn> : null}
      {!error && names?.length === 0 ? <p class="muted small">There are no configurations yet: <code>dcs run config put NAME FILE</code> makes one.</p> : null}
      <div class="runs-fields is-wide">
        {transitions.map(([name, title, about]) => (
          <div class="field" key={name}>
            <label for={`configuration-${name}`}>{title} <span class="muted">({name})</span></label>
            <select
              id={`configuration-${name}`} data-test={`configuration-${name}`} value={chosen[name] ?? ''} aria-describedby={`configuration-${name}-hint`}
              onChange={e => onChoose({ ...chosen, [name]: e.currentTarget.value })}
            >
              <option value="">nothing</option>
              {known.map(n => <option key={n} value={n}>{n}</option>)}
            </select>
            <span class="hint" id={`configuration-${name}-hint`}>{about}</span>
          </div>
        ))}
      </div>
      {chosen.run && !chosen.end
        ? <Warn test="no-end">Without a configuration of the end nothing is taken back: what is switched on stays on when the run has ended, has failed or was aborted.</Warn>
        : null}
    </fieldset>
  )
}
