// The form that starts a run, made from what the drivers say they can execute.
import { computed, signal } from '@preact/signals'
import { useState } from 'preact/hooks'
import { ApiError, get, post } from '../../api/client'
import type { Outcome, StartRun } from '../../api/types'
import { Result } from '../../device/Result'
import { commands, follow, followUnanswered } from '../../live/commands'
import { live } from '../../live/store'
import { Link } from '../../router'
import { may, me } from '../../session'
import { Icon } from '../../ui/icons'
import { took } from '../data/format'
import { blamed, initial, parametersOf, readAll, startables, type Startable } from '../data/params'
import { underWay } from '../data/states'
import { Section, Wrong } from '../parts/bits'
import { useFetched } from '../parts/use'
import { Configurations } from './Configurations'
import { ParamField } from './ParamField'

// choices changes only with the metas and states, not with each status.
let last: Startable[] = []
const choices = computed(() => {
  const next = startables(live.names.value.flatMap(n => live.device(n).value ?? []))
  const same = next.length === last.length && next.every((s, i) => s.about === last[i]?.about && s.ready === last[i]?.ready && s.device === last[i]?.device)
  if (!same) last = next
  return last
})

// What has been typed stays when one looks at another page.
const typed = signal<Record<string, string>>({})
const chosen = signal('')
const transitions = signal<Record<string, string>>({})

const keyOf = (s: Startable) => `${s.procedure}@${s.device}`

export function StartForm () {
  const list = choices.value
  const now = list.find(s => keyOf(s) === chosen.value) ?? list.find(s => s.ready) ?? list[0]
  return (
    <Section id="start" title="Start a run">
      {now ? <Form key={keyOf(now)} of={now} list={list} /> : <p>No driver of calibrations is on the bus, so there is nothing that could be started.</p>}
    </Section>
  )
}

type Answer = { outcome?: Outcome, dry: boolean, key?: number } | { error: unknown } | null

function Form ({ of, list }: { of: Startable, list: Startable[] }) {
  const [shown, setShown] = useState<ReadonlySet<string>>(new Set())
  const [busy, setBusy] = useState(false)
  const [answer, setAnswer] = useState<Answer>(null)
  const configurations = useFetched(signal => get<{ configurations: { name: string }[] }>('/configurations', undefined, signal), [live.hellos.value])
  const parameters = parametersOf(of.about)
  const text = (name: string, at: string) => typed.value[`${of.procedure}/${name}`] ?? at
  const texts = Object.fromEntries(parameters.map(([n, p]) => [n, text(n, initial(p))]))
  const { values, errors } = readAll(of.about, texts)
  const run = live.run.value
  const role = me.value?.role
  const why = !may('expert')
    ? `Starting a run needs the role expert${role ? `; you are ${role}` : ''}.`
    : live.link.value === 'gateway' ? 'The gateway is lost.' : ''
  const whyStart = why || (run && underWay(run.state) ? `Run ${run.run} is under way; one run at a time.` : '')

  const send = async (dry: boolean) => {
    setShown(new Set(parameters.map(([n]) => n)))
    const first = parameters.find(([n]) => errors[n])
    if (first) {
      setAnswer(null)
      document.getElementById(`param-${first[0]}`)?.focus()
      return
    }
    setBusy(true)
    const names = Object.fromEntries(Object.entries(transitions.value).filter(([, v]) => v))
    const body: StartRun = { procedure: of.procedure, device: of.device, parameters: values, ...(Object.keys(names).length ? { configurations: names } : {}), dry }
    try {
      const { body: outcome } = await post<Outcome>('/runs', body)
      setAnswer({ outcome, dry, key: dry ? undefined : follow('run', { op: 'start' }, outcome, outcome.run) })
    } catch (error) {
      const key = dry ? null : followUnanswered('run', { op: 'start' }, error)
      setAnswer(key === null ? { error } : { dry, key })
      const name = error instanceof ApiError ? blamed(error.message, of.about) : undefined
      if (name) document.getElementById(`param-${name}`)?.focus()
    } finally {
      setBusy(false)
    }
  }

  return (
    <form class="stack" noValidate data-test="start-form" onSubmit={e => { e.preventDefault(); if (!why && !busy) void send(true) }}>
      <div class="field runs-procedure">
        <label for="start-procedure">Procedure</label>
        <select id="start-procedure" data-test="procedure" value={keyOf(of)} onChange={e => { chosen.value = e.currentTarget.value }}>
          {list.map(s => <option key={keyOf(s)} value={keyOf(s)}>{nameOf(s, list)}</option>)}
        </select>
        <span class="hint">{of.title ? `${of.title}. ` : ''}On {of.device}{of.ready ? '' : ', which is not ready'}; it may take {took(of.about.limit)}.</span>
      </div>
      <fieldset>
        <legend>Parameters</legend>
        {parameters.length === 0 ? <p class="muted small">It takes none.</p> : null}
        <div class="runs-fields">
          {parameters.map(([name, p]) => (
            <ParamField
              key={name} name={name} of={p} text={texts[name] ?? ''} error={shown.has(name) ? errors[name] ?? '' : ''}
              onText={t => { typed.value = { ...typed.value, [`${of.procedure}/${name}`]: t } }} onLeave={() => setShown(s => new Set([...s, name]))}
            />
          ))}
        </div>
      </fieldset>
      <Configurations names={configurations.value?.configurations.map(c => c.name)} error={configurations.error} chosen={transitions.value} onChoose={c => { transitions.value = c }} />
      <div class="row">
        <button type="submit" class="btn" data-test="check" disabled={why !== '' || busy} aria-describedby={why ? 'start-why' : undefined}>Check</button>
        <button type="button" class="btn primary" data-test="start" disabled={whyStart !== '' || busy} aria-describedby={whyStart ? 'start-why' : undefined} onClick={() => void send(false)}>Start run</button>
        <span id="start-why" class="runs-why" data-test="start-why">{whyStart ? <><Icon name="lock" />{whyStart}</> : null}</span>
      </div>
      <div aria-live="polite" data-test="start-answer">{busy ? <p class="muted small">Asking run control…</p> : <Said answer={answer} />}</div>
    </form>
  )
}

function nameOf (s: Startable, list: Startable[]): string {
  const several = list.some(o => o.procedure === s.procedure && o.device !== s.device)
  return `${s.procedure}${several ? ` on ${s.device}` : ''}${s.ready ? '' : ' (not ready)'}`
}

function Said ({ answer }: { answer: Answer }) {
  if (!answer) return null
  if ('error' in answer) return <Wrong error={answer.error} what="Not started" />
  const { outcome, dry } = answer
  const sent = commands.value.find(c => c.key === answer.key)
  const run = outcome?.run ?? sent?.run // run control may answer after the gateway has
  return (
    <>
      {outcome || run ? <p class="note ok runs-sign">
        <Icon name="ok" size={16} />
        <span>
          {dry ? 'Checked: it could be started as it stands. Nothing has happened.' : run ? <>Started: <Link to={`/runs/${run}`}>run {run}</Link> has its number.</> : outcome?.message || 'Accepted.'}
        </span>
      </p> : null}
      {sent ? <Result sent={sent} /> : null}
    </>
  )
}
