// One's own password, changed.
import { useState } from 'preact/hooks'
import { post, says } from '../api/client'
import { me } from '../session'
import { announce } from '../ui/announce'
import { Dialog } from '../ui/Dialog'

export function PasswordDialog ({ open, close }: { open: boolean, close: () => void }) {
  return <Dialog title="Change password" open={open} close={close} test="password-dialog"><Form close={close} /></Dialog>
}

function Form ({ close }: { close: () => void }) {
  const [error, setError] = useState('')
  const [busy, setBusy] = useState(false)
  const submit = async (e: SubmitEvent) => {
    e.preventDefault()
    const data = new FormData(e.currentTarget as HTMLFormElement)
    const [old, fresh, again] = ['old', 'new', 'again'].map(k => String(data.get(k)))
    if (fresh !== again) return setError('The new password and its repetition differ.')
    setBusy(true)
    setError('')
    try {
      await post('/me/password', { old, new: fresh })
      announce('The password is changed.')
      close()
    } catch (err) {
      setError(says(err))
      setBusy(false)
    }
  }
  return (
    <form class="stack" onSubmit={submit}>
      <input class="hidden-visually" type="text" autoComplete="username" value={me.value?.user} readOnly tabIndex={-1} aria-label="Name" />
      <div class="field"><label for="old">Password now</label><input id="old" name="old" type="password" required maxLength={128} autoComplete="current-password" data-test="password-old" /></div>
      <div class="field">
        <label for="new">New password</label>
        <input id="new" name="new" type="password" required minLength={12} maxLength={128} autoComplete="new-password" aria-describedby="new-hint" data-test="password-new" />
        <span class="hint" id="new-hint">12 characters or more. Your other sessions end.</span>
      </div>
      <div class="field"><label for="again">New password again</label><input id="again" name="again" type="password" required maxLength={128} autoComplete="new-password" data-test="password-again" /></div>
      <div role="alert">{error && <p class="note bad" data-test="password-error">{error}</p>}</div>
      <div class="dialog-end">
        <button type="button" class="btn" onClick={close}>Cancel</button>
        <button type="submit" class="btn primary" disabled={busy} data-test="password-submit">Change</button>
      </div>
    </form>
  )
}
