// The bar on top: where to go, and who one is.
import { useEffect, useRef, useState } from 'preact/hooks'
import { PasswordDialog } from '../login/PasswordDialog'
import { says } from '../api/client'
import { address, Link, pathOf } from '../router'
import { logout, may, me } from '../session'
import { theme, type Theme } from '../theme'
import { Icon, Mark } from './icons'

const pages: ReadonlyArray<readonly [string, string]> = [['/', 'Overview'], ['/runs', 'Runs'], ['/acks', 'Acks']]

export function Header () {
  const path = pathOf(address.value)
  const links = me.value?.links ?? {}
  const current = (to: string) => (to === '/' ? path === '/' || path.startsWith('/device') || path.startsWith('/sensor') : path.startsWith(to)) ? 'page' as const : undefined
  return (
    <header class="top">
      <div class="top-row">
        <Link to="/" class="brand" aria-label="Tracker DCS, to the overview"><Mark /> Tracker DCS</Link>
        <nav class="nav" aria-label="Pages">
          {pages.map(([to, word]) => <Link key={to} to={to} aria-current={current(to)} data-test={`nav-${word.toLowerCase()}`}>{word}</Link>)}
          {may('operator') && <Link to="/audit" aria-current={current('/audit')} data-test="nav-audit">Audit</Link>}
          {links.grafana && <Out to={links.grafana} test="link-grafana">Grafana</Out>}
          {links.dashboard && <Out to={links.dashboard} test="link-dashboard">Dashboard</Out>}
          {links.editor && <Out to={links.editor} test="link-editor">Flows</Out>}
        </nav>
        <span class="spring" />
        <UserMenu />
      </div>
    </header>
  )
}

function Out ({ to, test, children }: { to: string, test: string, children: string }) {
  return <a class="out" href={to} target="_blank" rel="noopener" data-test={test}>{children}<Icon name="out" /><span class="hidden-visually"> (opens in a new tab)</span></a>
}

function UserMenu () {
  const [open, setOpen] = useState(false)
  const [password, setPassword] = useState(false)
  const [error, setError] = useState('')
  const box = useRef<HTMLDivElement>(null)
  const button = useRef<HTMLButtonElement>(null)
  useEffect(() => {
    if (!open) return
    const away = (e: Event) => { if (!box.current?.contains(e.target as Node)) setOpen(false) }
    const escape = (e: KeyboardEvent) => {
      if (e.key !== 'Escape') return
      setOpen(false)
      button.current?.focus()
    }
    for (const kind of ['pointerdown', 'focusin']) document.addEventListener(kind, away)
    document.addEventListener('keydown', escape)
    return () => {
      for (const kind of ['pointerdown', 'focusin']) document.removeEventListener(kind, away)
      document.removeEventListener('keydown', escape)
    }
  }, [open])
  const who = me.value
  if (!who) return null
  return (
    <div class="menu top-end" ref={box}>
      <button ref={button} type="button" class="btn" aria-expanded={open} aria-controls="user-menu" data-test="user-menu" onClick={() => setOpen(!open)}>
        <Icon name="user" /><span data-test="user">{who.user}</span><span class="small" data-test="role">{who.role}</span><Icon name="down" />
      </button>
      <div class="menu-list" id="user-menu" hidden={!open}>
        {open && <>
          <ThemeSwitch />
          {who.via === 'session' && <button type="button" class="btn" data-test="change-password" onClick={() => { setOpen(false); button.current?.focus(); setPassword(true) }}>Change password</button>}
          <button type="button" class="btn" data-test="logout" onClick={() => { logout().catch((e: unknown) => setError(says(e))) }}>Log out</button>
          {error && <p class="note bad" role="alert">{error}</p>}
        </>}
      </div>
      <PasswordDialog open={password} close={() => setPassword(false)} />
    </div>
  )
}


const themes: ReadonlyArray<readonly [Theme, string]> = [['auto', 'Auto'], ['light', 'Light'], ['dark', 'Dark']]

function ThemeSwitch () {
  return (
    <fieldset class="group">
      <legend>Colours</legend>
      {themes.map(([t, word]) => (
        <button key={t} type="button" class="btn small" aria-pressed={theme.value === t} data-test={`theme-${t}`} onClick={() => { theme.value = t }}>{word}</button>
      ))}
    </fieldset>
  )
}
