// Asks why a run is aborted, and whether it is.
import { useEffect, useState } from 'preact/hooks'
import { post } from '../../api/client'
import type { Outcome } from '../../api/types'
import { follow, followUnanswered } from '../../live/commands'
import { Dialog } from '../../ui/Dialog'
import { announce } from '../../ui/announce'
import type { Live } from '../data/document'
import { underWay } from '../data/states'
import { Wrong } from '../parts/bits'

export function AbortDialog ({ run, open, close }: { run: Live, open: boolean, close: () => void }) {
  const [reason, setReason] = useState('')
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>(null)
  const [late, setLate] = useState(false) // nobody has answered: it may be aborted all the same
  useEffect(() => { if (open) setError(null) }, [open])
  const going = underWay(run.state)
  const send = async () => {
    setBusy(true)
    setError(null)
    try {
      const { body } = await post<Outcome>(`/runs/${run.run}/abort`, reason.trim() ? { reason: reason.trim() } : {})
      follow('run', { op: 'abort' }, body, run.run)
      announce(`Run ${run.run} is being ended.`)
      setReason('')
      close()
    } catch (e) {
      setLate(followUnanswered('run', { op: 'abort' }, e, run.run) !== null)
      setError(e)
    } finally {
      setBusy(false)
    }
  }
  return (
    <Dialog title={`Abort run ${run.run}?`} open={open} close={close} test="abort-dialog">
      <form class="stack" onSubmit={e => { e.preventDefault(); if (!busy && going) void send() }}>
        <p>
          {run.procedure}{run.module ? ` of ${run.module}` : ''}, {run.state}. {run.state === 'finishing'
            ? 'Its program has ended already: an abort gives up waiting for its results, and takes back nothing.'
            : run.configurations?.end
              ? 'Its program is ended, then the supplies are set as the configuration of the end says.'
              : 'Its program is ended. It has no configuration of the end: supplies stay as they are.'}
        </p>
        <div class="field">
          <label for="abort-reason">Reason</label>
          <input id="abort-reason" data-test="abort-reason" type="text" maxLength={250} autoComplete="off" value={reason} aria-describedby="abort-hint" onInput={e => setReason(e.currentTarget.value)} />
          <span class="hint" id="abort-hint">It is kept with the run, with your name.</span>
        </div>
        {going ? null : <p class="note ok">It has ended by itself: {run.state}.</p>}
        {error ? <Wrong error={error} what={late ? 'Not known to be aborted' : 'Not aborted'} /> : null}
        <div class="dialog-end">
          <button type="button" class="btn" onClick={close}>{going ? 'Let it go on' : 'Close'}</button>
          <button type="submit" class="btn danger" data-test="abort-confirm" disabled={busy || !going}>{busy ? 'Asking…' : `Abort run ${run.run}`}</button>
        </div>
      </form>
    </Dialog>
  )
}
