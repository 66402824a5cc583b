// Acks as they are heard, the newest first.
import type { AckOf } from '../api/types'
import { opText } from '../live/commands'
import { live } from '../live/store'
import { Link } from '../router'
import { Chip, phaseTone } from '../ui/Chip'
import { clockTime, plain } from '../ui/format'

export function AckList ({ device, limit }: { device?: string, limit: number }) {
  const acks = live.acks.value.filter(a => !device || a.device === device).slice(-limit).reverse()
  if (acks.length === 0) return <p class="muted">None was heard yet.</p>
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label={device ? `Table of the acks of ${device}` : 'Table of acks'}>
      <table class="acks-table" data-test="acks">
        <caption class="hidden-visually">Acks, the newest first</caption>
        <thead><tr><th scope="col">Time</th>{!device && <th scope="col">Device</th>}<th scope="col">Ch.</th><th scope="col">Command</th><th scope="col">Phase</th><th scope="col">User</th><th scope="col">Message</th></tr></thead>
        <tbody>{acks.map(a => <Row key={`${a.device} ${a.ack.boot} ${a.ack.time}`} a={a} withDevice={!device} />)}</tbody>
      </table>
    </div>
  )
}

function Row ({ a: { device, ack, at }, withDevice }: { a: AckOf, withDevice: boolean }) {
  const closest = ack.closest === null || ack.closest === undefined ? '' : ` (closest ${plain(ack.closest)})`
  return (
    <tr data-test="ack" data-id={ack.id} data-phase={ack.phase}>
      <td class="nowrap" title={ack.time}>{clockTime(at)}</td>
      {withDevice && <td>{device === 'run' ? <Link to={ack.run ? `/runs/${ack.run}` : '/runs'}>run</Link> : <Link to={`/device/${encodeURIComponent(device)}`}>{device}</Link>}</td>}
      <td>{ack.channel === null || ack.channel === undefined ? '' : String(ack.channel)}</td>
      <td class="nowrap">{opText(ack.op, typeof ack.value === 'object' ? undefined : ack.value)}</td>
      <td><Chip tone={phaseTone(ack.phase)}>{ack.phase}</Chip>{ack.code !== 'OK' && <strong class="small"> {ack.code}</strong>}</td>
      <td>{ack.user}</td>
      <td class="small">{ack.message}{closest}</td>
    </tr>
  )
}
