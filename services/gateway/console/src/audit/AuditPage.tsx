// Who did what.
import { useEffect, useState } from 'preact/hooks'
import { get, says } from '../api/client'
import type { Entry } from '../api/types'
import { live } from '../live/store'
import { address, queryOf, setQuery } from '../router'
import { may } from '../session'
import { FilterField } from '../ui/FilterField'
import { AuditTable } from './AuditTable'

interface Page { entries: Entry[], next: number | null }

const kinds: ReadonlyArray<readonly [string, string]> = [['command', 'commands'], ['outcome', 'outcomes'], ['silence', 'no answer'], ['ingest', 'values from outside'], ['download', 'downloads'], ['proxy', 'changes in Grafana and Node-RED'], ['gap', 'gaps'], ['start', 'starts'], ['login', 'logins'], ['denied', 'denied'], ['logout', 'logouts'], ['account', 'accounts']]
const forAdmin = new Set(['login', 'denied', 'logout', 'account'])

export function AuditPage () {
  if (!may('operator')) {
    return (
      <div class="page" data-test="audit-page">
        <div class="page-head"><h1 tabIndex={-1}>Audit log</h1></div>
        <p class="note" data-test="audit-why">Your role does not read the audit log: that takes an operator.</p>
      </div>
    )
  }
  return <Entries />
}

function Entries () {
  const q = queryOf(address.value)
  const filter = { device: q.get('device') ?? '', user: q.get('user') ?? '', kind: q.get('kind') ?? '' }
  const key = JSON.stringify(filter)
  const [entries, setEntries] = useState<Entry[]>([])
  const [next, setNext] = useState<number | null>(null)
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const [again, setAgain] = useState(0)

  useEffect(() => {
    const stop = new AbortController()
    setBusy(true)
    get<Page>('/audit', { ...filter, limit: 100 }, stop.signal).then(p => {
      setEntries(p.entries)
      setNext(p.next)
      setError('')
      setBusy(false)
    }, (e: unknown) => {
      if (stop.signal.aborted) return
      setEntries([])
      setNext(null)
      setError(says(e))
      setBusy(false)
    })
    return () => stop.abort()
  }, [key, again])

  const older = async () => {
    if (next === null) return
    setBusy(true)
    try {
      const p = await get<Page>('/audit', { ...filter, before: next, limit: 100 })
      setEntries([...entries, ...p.entries])
      setNext(p.next)
      setError('')
    } catch (e) {
      setError(says(e))
    }
    setBusy(false)
  }
  const choose = (part: Partial<typeof filter>) => setQuery({ ...filter, ...part })
  return (
    <div class="page" data-test="audit-page">
      <div class="page-head"><h1 tabIndex={-1}>Audit log</h1><span class="spring" /><button type="button" class="btn" disabled={busy} data-test="audit-reload" onClick={() => setAgain(again + 1)}>Load again</button></div>
      <p class="muted">Entries are chained by hashes; <code>dcs audit-log verify</code> proves that none was changed. A name is verified when the gateway has checked it, else the sender said so.</p>
      <div class="filters">
        <div class="field"><label for="audit-kind">Kind</label>
          <select id="audit-kind" value={filter.kind} data-test="audit-kind" onChange={e => choose({ kind: e.currentTarget.value })}>
            <option value="">All</option>
            {kinds.filter(([k]) => may('admin') || !forAdmin.has(k)).map(([k, word]) => <option key={k} value={k}>{word}</option>)}
          </select>
        </div>
        <FilterField id="audit-device" label="Device" text={filter.device} list="audit-devices" test="audit-device" onText={device => choose({ device })} />
        <datalist id="audit-devices">{[...live.names.value, 'run'].map(n => <option key={n} value={n} />)}</datalist>
        <FilterField id="audit-user" label="User" text={filter.user} test="audit-user" onText={user => choose({ user })} />
      </div>
      <div role="alert">{error && <p class="note bad">{error}</p>}</div>
      <section class="card" aria-label="Entries" aria-busy={busy}>
        {entries.length > 0 ? <AuditTable entries={entries} /> : <p class="muted">{busy ? 'Loading…' : error ? '' : 'There is no such entry.'}</p>}
        {next !== null && <div class="dialog-end"><button type="button" class="btn" disabled={busy} data-test="audit-older" onClick={() => { void older() }}>Older entries</button></div>}
      </section>
    </div>
  )
}
