// With what a run was made: its parameters, and the configurations of its transitions.
import { plainUnit } from '../../ui/format'
import type { Configuration, Require, Run } from '../data/document'
import { show } from '../data/values'
import { Facts, Section } from '../parts/bits'

const units: Record<string, string> = { setv: 'V', seti: 'A', ramp: 'V/s' }
const order = ['configure', 'run', 'finish', 'end']

export function Settings ({ run }: { run: Run }) {
  const parameters = Object.entries(run.parameters ?? {}).sort(([a], [b]) => a.localeCompare(b))
  const configurations = Object.entries(run.configurations ?? {}).sort(([a], [b]) => order.indexOf(a) - order.indexOf(b))
  return (
    <Section id="settings" title="Settings">
      <div class="runs-json">
        <div><h3>Parameters</h3>{parameters.length ? <Facts test="run-parameters" of={parameters.map(([k, v]) => [k, show(v)] as const)} /> : <p class="muted">None.</p>}</div>
        {configurations.map(([name, c]) => <One key={name} transition={name} of={c} />)}
      </div>
      {configurations.length === 0 ? <p class="muted small">It had no configuration: supplies stood as they stood.</p> : null}
    </Section>
  )
}

function One ({ transition, of }: { transition: string, of: Configuration }) {
  return (
    <div data-test={`kept-configuration-${transition}`}>
      <h3>Configuration of {transition}{of.name ? <span class="muted">: {of.name}</span> : null}</h3>
      <ul class="plain">
        {of.setpoints?.map((s, i) => <li key={i}><strong>{s.device}/{String(s.channel)}</strong> {s.op} {typeof s.value === 'number' ? plainUnit(s.value, units[s.op]) : s.value === undefined ? '' : show(s.value)}</li>)}
        {of.sensors?.map((s, i) => <li key={`s${i}`}><strong>{s.device}{s.channel === undefined ? '' : `/${s.channel}`}</strong> {s.field} {limits(s)}</li>)}
      </ul>
      <p class="muted small">{[of.timeout ? `within ${of.timeout} s` : '', of.wait ? `readings are waited for ${of.wait} s` : ''].filter(Boolean).join(', ')}</p>
    </div>
  )
}

function limits (s: Require): string {
  const range = s.min !== undefined && s.max !== undefined ? `from ${s.min} to ${s.max}` : s.min !== undefined ? `from ${s.min}` : s.max !== undefined ? `up to ${s.max}` : 'fresh'
  return range + (s.max_age ? `, at most ${s.max_age} s old` : '')
}
