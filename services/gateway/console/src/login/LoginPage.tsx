// Who comes in says who they are.
import { useEffect, useLayoutEffect, useRef, useState } from 'preact/hooks'
import { ApiError, post } from '../api/client'
import type { Me } from '../api/types'
import { address, navigate, queryOf, sitePath } from '../router'
import { me } from '../session'
import { Mark } from '../ui/icons'

export function LoginPage () {
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState('')
  const [wait, setWait] = useState(0)
  const user = useRef<HTMLInputElement>(null)
  useLayoutEffect(() => { // at once: later it would take the focus from who types already
    document.title = 'Log in · Tracker DCS'
    user.current?.focus()
  }, [])
  useEffect(() => {
    if (wait <= 0) return
    const t = setTimeout(() => setWait(wait - 1), 1000)
    return () => clearTimeout(t)
  }, [wait])

  const submit = async (e: SubmitEvent) => {
    e.preventDefault()
    if (busy || wait > 0) return
    const form = e.currentTarget as HTMLFormElement
    const data = new FormData(form)
    setBusy(true)
    setError('')
    try {
      const { body } = await post<Me>('/login', { user: String(data.get('user')), password: String(data.get('password')) })
      me.value = body
      navigate(sitePath(queryOf(address.peek()).get('next')), { replace: true })
    } catch (err) {
      setBusy(false)
      if (!(err instanceof ApiError)) return setError(String(err))
      setError(err.message)
      setWait(err.status === 429 ? Math.max(1, err.retryAfter) : 0)
      const field = form.elements.namedItem('password')
      if (field instanceof HTMLInputElement) {
        field.value = ''
        field.focus()
      }
    }
  }

  return (
    <main id="main" class="login">
      <div class="card">
        <p class="brand"><Mark size={34} /> Tracker DCS</p>
        <h1 class="hidden-visually">Log in</h1>
        <form class="stack" onSubmit={submit} data-test="login-form" aria-busy={busy}>
          <div class="field"><label for="user">Name</label><input id="user" name="user" required maxLength={64} autoComplete="username" autoCapitalize="none" spellcheck={false} ref={user} data-test="login-user" /></div>
          <div class="field"><label for="password">Password</label><input id="password" name="password" type="password" required maxLength={128} autoComplete="current-password" data-test="login-password" /></div>
          <div role="alert" data-test="login-error">
            {error && <p class="note bad">{error}</p>}
          </div>
          <button type="submit" class="btn primary" disabled={busy || wait > 0} data-test="login-submit">
            {wait > 0 ? `Wait ${wait} s` : busy ? 'Logging in…' : 'Log in'}
          </button>
        </form>
        <p class="small muted login-hint">What you switch is recorded under your name.</p>
      </div>
    </main>
  )
}
