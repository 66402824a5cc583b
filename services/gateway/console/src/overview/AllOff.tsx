// All supplies off, at once.
import { useState } from 'preact/hooks'
import { ApiError, call, says } from '../api/client'
import type { OffOutcome } from '../api/types'
import { commands, follow } from '../live/commands'
import { Result } from '../device/Result'
import { may } from '../session'
import { announce } from '../ui/announce'
import { Dialog } from '../ui/Dialog'
import { Icon } from '../ui/icons'

// Told are the keys in `commands` of what each supply was told: what comes of it is known later.
type Told = Array<{ device: string, key: number }>

const tell = (results: OffOutcome['results']): Told => results.map(r => ({ device: r.device, key: follow(r.device, { op: 'switch', channel: 'all', value: 'off' }, r.outcome) }))

export function AllOff () {
  const [open, setOpen] = useState(false)
  return (
    <>
      {!may('operator') && <span class="small muted" id="alloff-why">Switching needs the role operator.</span>}
      <button type="button" class="btn danger" disabled={!may('operator')} aria-describedby={may('operator') ? undefined : 'alloff-why'} data-test="all-off" onClick={() => setOpen(true)}>
        <Icon name="off" />All off
      </button>
      <Dialog title="Switch off all supplies" open={open} close={() => setOpen(false)} test="all-off-dialog"><Ask close={() => setOpen(false)} /></Dialog>
    </>
  )
}

function Ask ({ close }: { close: () => void }) {
  const [busy, setBusy] = useState(false)
  const [results, setResults] = useState<Told | null>(null)
  const [error, setError] = useState('')
  const off = async () => {
    setBusy(true)
    setError('')
    try {
      setResults(tell((await call<OffOutcome>('POST', '/off', { body: {} })).body.results))
      announce('All supplies were told to switch off.')
    } catch (e) {
      const partial = e instanceof ApiError ? (e.problem as Partial<OffOutcome>).results : undefined
      setResults(partial ? tell(partial) : null)
      setError(says(e))
    }
    setBusy(false)
  }
  return (
    <>
      {!results && <p>Every channel of every power supply is switched off now. Each supply ramps down at the speed that it is set to.</p>}
      <div role="alert">{error && <p class="note bad" data-test="all-off-error">{error}</p>}</div>
      {results && (
        <table data-test="all-off-results">
          <caption>What became of it</caption>
          <thead><tr><th scope="col">Supply</th><th scope="col">Result</th></tr></thead>
          <tbody>{results.map(r => (
            <tr key={r.device} data-test={`off-${r.device}`}>
              <th scope="row">{r.device}</th>
              <td><Became of={r.key} /></td>
            </tr>
          ))}</tbody>
        </table>
      )}
      {results?.length === 0 && <p>There is no power supply on the bus.</p>}
      <div class="dialog-end">
        <button type="button" class="btn" onClick={close} data-test="all-off-close">{results ? 'Close' : 'Cancel'}</button>
        {(!results || error) && <button type="button" class="btn danger" disabled={busy} data-test="all-off-confirm" onClick={() => { void off() }}>{busy ? 'Switching off…' : error ? 'Try again' : 'Switch all off'}</button>}
      </div>
    </>
  )
}

function Became ({ of }: { of: number }) {
  const sent = commands.value.find(c => c.key === of)
  return sent ? <Result sent={sent} /> : null
}
