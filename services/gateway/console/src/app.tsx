// The page around the pages.
import { useEffect, useLayoutEffect, useRef } from 'preact/hooks'
import { AcksPage } from './acks/AcksPage'
import { AuditPage } from './audit/AuditPage'
import { lazy } from './lazy'
import { LoginPage } from './login/LoginPage'
import { Overview } from './overview/Overview'
import { address, Link, navigate, pathOf, queryOf, sitePath } from './router'
import { ask, me, toLogin } from './session'
import { Announcer } from './ui/announce'
import { Banners } from './ui/Banners'
import { Header } from './ui/Header'

const DevicePage = lazy(() => import('./device/DevicePage'))
const SensorPage = lazy(() => import('./device/SensorPage'))
const RunsPage = lazy(() => import('./runs/RunsPage'))
const RunPage = lazy(() => import('./runs/RunPage'))

export function App () {
  const path = pathOf(address.value)
  const who = me.value
  useEffect(() => {
    if (who === null) toLogin()
    if (who && path === '/login') navigate(sitePath(queryOf(address.value).get('next')), { replace: true })
  }, [who, path])
  useEffect(() => {
    if (who !== undefined) return
    const again = setInterval(() => { void ask() }, 2000)
    return () => clearInterval(again)
  }, [who])

  if (who === undefined) return <main id="main" class="page"><h1>Tracker DCS</h1><p role="status">Asking the gateway who you are…</p></main>
  if (who === null || path === '/login') return <LoginPage />
  return (
    <>
      <a class="skip" href="#main" onClick={e => { e.preventDefault(); document.querySelector('h1')?.focus() }}>Skip to the content</a>
      <Header />
      <Banners />
      <Main path={path} />
      <Announcer />
    </>
  )
}

function Main ({ path }: { path: string }) {
  const ref = useRef<HTMLElement>(null)
  const first = useRef(true)
  useLayoutEffect(() => { // at once, as in the login
    document.title = `${titleOf(path)} · Tracker DCS`
    if (!first.current) return focusHead(ref.current)
    first.current = false
  }, [path])
  return <main id="main" ref={ref} key={path}>{pageOf(path)}</main>
}

// focusHead gives a page's heading the focus, as soon as there is one: some pages are fetched when they are first looked at.
function focusHead (main: HTMLElement | null): () => void {
  const look = () => { const h = main?.querySelector('h1'); h?.focus(); return h }
  const wait = new MutationObserver(() => { if (look()) wait.disconnect() })
  if (main && !look()) wait.observe(main, { childList: true, subtree: true })
  return () => wait.disconnect()
}

function pageOf (path: string) {
  const [, kind, name = ''] = /^\/(\w*)(?:\/([^/]+))?$/.exec(path) ?? []
  if (path === '/') return <Overview />
  if (path === '/runs') return <RunsPage />
  if (kind === 'runs' && /^\d+$/.test(name)) return <RunPage run={Number(name)} />
  if (kind === 'device' && name) return <DevicePage name={decodeURIComponent(name)} />
  if (kind === 'sensor' && name) return <SensorPage name={decodeURIComponent(name)} />
  if (path === '/acks') return <AcksPage />
  if (path === '/audit') return <AuditPage />
  return <div class="page"><h1 tabIndex={-1}>No such page</h1><p>There is nothing at {path}. <Link to="/">To the overview</Link></p></div>
}

function titleOf (path: string): string {
  if (path === '/') return 'Overview'
  const [, kind = '', name] = path.split('/')
  const word = { runs: 'Runs', acks: 'Acks', audit: 'Audit', device: 'Device', sensor: 'Sensor' }[kind] ?? 'No such page'
  if (!name) return word
  return kind === 'runs' ? `Run ${name}` : decodeURIComponent(name)
}
