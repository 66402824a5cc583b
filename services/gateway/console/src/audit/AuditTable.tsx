import type { Entry } from '../api/types'
import { opText } from '../live/commands'
import { Chip, phaseTone, type Tone } from '../ui/Chip'
import { dateTime, plain } from '../ui/format'

const tones: Record<string, Tone> = { denied: 'bad', silence: 'warn', gap: 'warn' }

// AuditTable is a page of the log, the newest first.
export function AuditTable ({ entries }: { entries: Entry[] }) {
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Entries of the audit log">
      <table class="audit" data-test="audit">
        <caption class="hidden-visually">Entries of the audit log, the newest first</caption>
        <thead><tr><th scope="col" class="num">No.</th><th scope="col">Time</th><th scope="col">Kind</th><th scope="col">Who</th><th scope="col">What</th><th scope="col">What came of it</th></tr></thead>
        <tbody>{entries.map(e => <Row key={e.seq} e={e} />)}</tbody>
      </table>
    </div>
  )
}

function Row ({ e }: { e: Entry }) {
  const where = [e.device, e.channel !== undefined && e.channel !== '' && `channel ${e.channel}`].filter(Boolean).join(', ')
  const value = typeof e.value === 'object' && e.value !== null ? JSON.stringify(e.value) : e.value
  return (
    <tr data-test="audit-entry" data-kind={e.kind} data-seq={e.seq}>
      <td class="num muted" title={`hash ${e.hash}`}>{e.seq}</td>
      <td class="nowrap">{dateTime(e.time)}</td>
      <td><Chip tone={tones[e.kind] ?? 'idle'}>{e.kind}</Chip></td>
      <td>{e.user || <span class="muted">nobody</span>}{e.role && <span class="small muted"> {e.role}</span>}
        <div>{e.user && (e.verified ? <Chip tone="ok" title="The gateway has checked who it was" test="verified">verified</Chip> : <Chip tone="warn" title="The sender said so; nobody has checked it" test="unverified">not verified</Chip>)} <span class="small muted">{[e.via, e.address].filter(Boolean).join(' from ')}</span></div>
      </td>
      <td>{where}{where && e.op && ': '}{e.op && opText(e.op, value)}</td>
      <td>{e.phase && <Chip tone={phaseTone(e.phase)}>{e.phase}</Chip>}{e.code && e.code !== 'OK' && <strong class="small"> {e.code}</strong>} <span class="small">{e.message}{e.closest !== undefined && ` (closest ${plain(e.closest)})`}</span></td>
    </tr>
  )
}
