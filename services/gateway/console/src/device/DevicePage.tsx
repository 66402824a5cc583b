// One device: its values now, its controls, what they were.
import { live } from '../live/store'
import { channelsOf } from '../live/limits'
import { PlotPanel } from '../plot/PlotPanel'
import { Link } from '../router'
import { may } from '../session'
import { AckList } from '../acks/AckList'
import { StateChip } from '../ui/Chip'
import { FreshChip } from '../ui/FreshChip'
import { dateTime } from '../ui/format'
import { ChannelCard } from './ChannelCard'
import { MyCommands } from './MyCommands'
import { plotOf } from './plotOf'
import { Readings } from './Readings'

export default function DevicePage ({ name }: { name: string }) {
  const d = live.device(name).value
  const fresh = live.freshness(name).value
  if (!d) {
    return (
      <div class="page"><h1 tabIndex={-1}>{name}</h1>
        <p>{live.hellos.value === 0 ? 'Waiting for the gateway…' : <>The gateway has heard of no device of this name. <Link to="/">To the overview</Link></>}</p>
      </div>
    )
  }
  const psu = d.meta?.kind === 'psu'
  const plot = plotOf(d)
  return (
    <div class="page" data-test={`device-page-${name}`} data-fresh={fresh}>
      <div>
        <div class="page-head"><h1 tabIndex={-1}>{name}</h1><StateChip state={d.state?.state} error={d.state?.error} /><FreshChip device={name} /></div>
        <p class="muted small">{[d.meta?.model, d.meta?.serial && `serial ${d.meta.serial}`, d.meta?.firmware && `firmware ${d.meta.firmware}`, d.meta?.driver && `driver ${d.meta.driver}`].filter(Boolean).join(' · ')}</p>
        {d.state?.state && d.state.state !== 'ready' && <p class="note warn" data-test="state-note">{stateText(d.state.state)}{d.state.since && ` since ${dateTime(live.said(name, d.state.since))}`}{d.state.error && `: ${d.state.error}`}</p>}
        {(fresh === 'stale' || fresh === 'invalid') && <p class="note warn" data-test="stale-note">The values are not live: they are the last that are known.</p>}
      </div>
      {psu && !may('operator') && <p class="note" id="role-note" data-test="role-note">You are logged in as viewer and may look. Commands need the role operator, current limits the role expert.</p>}
      {psu
        ? <section class="section" aria-labelledby="h-channels"><h2 id="h-channels">Channels</h2><div class="channel-cards">{channelsOf(d.status, d.meta).map(ch => <ChannelCard key={ch.number} d={d} ch={ch} fresh={fresh} />)}</div></section>
        : <Readings d={d} fresh={fresh} />}
      {plot && <PlotPanel {...plot} />}
      {psu && (
        <div class="two">
          <MyCommands device={name} />
          <section class="card" aria-labelledby="h-acks"><div class="card-head"><h2 id="h-acks">Acks of {name}</h2><Link to={`/acks?device=${encodeURIComponent(name)}`}>All acks</Link></div><AckList device={name} limit={12} /></section>
        </div>
      )}
    </div>
  )
}

function stateText (state: string): string {
  switch (state) {
    case 'starting': return 'The driver is starting'
    case 'unreachable': return 'The driver lives and its instrument does not answer'
    case 'stopped': return 'The driver has ended'
    case 'lost': return 'The driver, or its connection, was lost'
    default: return `The driver is ${state}`
  }
}
