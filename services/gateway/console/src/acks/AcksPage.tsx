// The last acks of all devices.
import { live } from '../live/store'
import { address, queryOf, setQuery } from '../router'
import { AckList } from './AckList'

export function AcksPage () {
  const device = queryOf(address.value).get('device') ?? ''
  const names = [...new Set([...live.acks.value.map(a => a.device), ...live.names.value, ...(device ? [device] : [])])].sort()
  return (
    <div class="page">
      <h1 tabIndex={-1}>Acks</h1>
      <p class="muted">What devices have said to commands since the page was opened, and to the last hundred before. The audit log has all of them.</p>
      <div class="filters">
        <div class="field"><label for="ack-device">Device</label>
          <select id="ack-device" value={device} data-test="acks-device" onChange={e => setQuery({ device: e.currentTarget.value })}>
            <option value="">All</option>
            {names.map(n => <option key={n} value={n}>{n}</option>)}
          </select>
        </div>
      </div>
      <section class="card" aria-label="List of acks"><AckList device={device || undefined} limit={500} /></section>
    </div>
  )
}
