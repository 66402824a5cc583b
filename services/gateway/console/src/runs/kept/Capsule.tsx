// What each device measured while the program ran, and which commands were refused.
import { Link } from '../../router'
import { clockTime, shownText } from '../../ui/format'
import { Icon } from '../../ui/icons'
import { fieldsOf, isFlag, unitOfField } from '../data/capsule'
import type { CapsuleChannel, CapsuleDevice, Event, Run } from '../data/document'
import { Section, Time, Warn, Wide } from '../parts/bits'

export function CapsuleView ({ run }: { run: Run }) {
  const c = run.capsule
  const devices = Object.entries(c?.devices ?? {}).sort(([a], [b]) => a.localeCompare(b))
  if (!c || devices.length === 0) return null
  return (
    <Section id="capsule" title="What all devices measured" note={<>From <Time at={c.from} /> to <Time at={c.to} />, while the program ran. “At start” is the last reading before.</>}>
      {c.missing > 0 || c.dropped > 0 ? <Warn test="capsule-missing">{c.missing} statuses are known to be missing, {c.dropped} messages found no room: the numbers are without them.</Warn> : null}
      {devices.map(([name, d]) => <DeviceView key={name} name={name} of={d} from={c.from} to={c.to} />)}
      {c.missing === 0 && c.dropped === 0 ? <p class="muted small">No status is known to be missing.</p> : null}
    </Section>
  )
}

function DeviceView ({ name, of, from, to }: { name: string, of: CapsuleDevice, from: string, to: string }) {
  const channels = of.channels ?? []
  const numbered = channels.some(c => c.number !== undefined)
  const events = [
    ...(of.states ?? []).map(e => ({ ...e, what: `state ${e.what}` })),
    ...channels.flatMap(c => (c.trips ?? []).map(e => ({ ...e, what: `channel ${c.number ?? ''}: ${e.what}` }))),
  ].sort((a, b) => a.time.localeCompare(b.time))
  const about = [of.model, of.serial && `serial ${of.serial}`, of.firmware && `firmware ${of.firmware}`, of.driver].filter(Boolean).join(' · ')
  // A minute around it, so that one sees where it came from.
  const around = `?from=${encodeURIComponent(shift(from, -60_000))}&to=${encodeURIComponent(shift(to, 60_000))}`
  return (
    <details class="runs-device" open={of.kind !== 'calibration'} data-test={`capsule-${name}`}>
      <summary><strong>{name}</strong> <span class="muted small">{about}{about ? ' · ' : ''}{of.statuses} statuses{of.missing > 0 ? `, ${of.missing} missing` : ''}{(of.boots?.length ?? 0) > 1 ? `, started ${of.boots?.length} times` : ''}</span></summary>
      <p class="small"><Link to={`/device/${name}${around}`} class="runs-file"><Icon name="next" />Plots of {name} at that time</Link></p>
      {events.map((e, i) => <EventLine key={i} of={e} />)}
      {channels.length > 0
        ? (
          <Wide caption={`What ${name} measured in the run`} heads={[...(numbered ? ['Channel'] : []), 'Field', 'At start', 'Min', 'Mean', 'Max', 'Readings']} numeric={(numbered ? [2, 3, 4, 5, 6] : [1, 2, 3, 4, 5])}>
            {channels.flatMap(c => fieldsOf(c).map((f, i) => <FieldRow key={`${c.number ?? ''} ${f}`} of={c} field={f} first={i === 0} numbered={numbered} />))}
          </Wide>
          )
        : null}
    </details>
  )
}

const shift = (iso: string, by: number): string => new Date(Date.parse(iso) + by).toISOString()

function EventLine ({ of }: { of: Event }) {
  return <Warn>{clockTime(of.time)} {of.what}</Warn>
}

function FieldRow ({ of, field, first, numbered }: { of: CapsuleChannel, field: string, first: boolean, numbered: boolean }) {
  const f = of.fields?.[field]
  const unit = unitOfField(of, field)
  const text = (x: number | undefined) => x === undefined ? '' : isFlag(field) && (x === 0 || x === 1) ? (x === 1 ? 'on' : 'off') : shownText(x, unit)
  return (
    <tr class={first ? 'is-first' : undefined}>
      {numbered ? <td>{first ? [of.number, of.label].filter(v => v !== undefined && v !== '').join(' ') : <span class="hidden-visually">{of.number}</span>}</td> : null}
      <th scope="row">{field}</th>
      <td class="num nowrap">{text(of.at_start?.[field])}</td>
      <td class="num nowrap">{text(f?.min)}</td>
      <td class="num nowrap">{f ? isFlag(field) && f.min !== f.max ? `${Math.round(f.mean * 100)} %` : text(f.mean) : ''}</td>
      <td class="num nowrap">{text(f?.max)}</td>
      <td class="num">{f?.count ?? ''}</td>
    </tr>
  )
}

export function Refused ({ run }: { run: Run }) {
  const refused = run.capsule?.refused ?? []
  if (refused.length === 0) return null
  return (
    <Section id="refused" title="Commands that were refused or failed">
      <Wide caption={`While the program ran${run.capsule?.more ? `; ${run.capsule.more} more are not listed` : ''}`} heads={['When', 'To', 'Command', 'By', 'Answer']} test="refused">
        {refused.map((r, i) => (
          <tr key={i}>
            <td><Time at={r.time} /></td><td>{r.device}{r.channel ? `/${r.channel}` : ''}</td><td>{r.op} {r.value}</td><td>{r.user}</td>
            <td><strong>{r.phase} {r.code}</strong> {r.message}</td>
          </tr>
        ))}
      </Wide>
    </Section>
  )
}
