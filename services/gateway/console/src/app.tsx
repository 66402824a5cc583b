// The page around the pages.
import { lazy } from './lazy'
import { address, pathOf } from './router'

const RunsPage = lazy(() => import('./runs/RunsPage'))
const RunPage = lazy(() => import('./runs/RunPage'))

export function App () {
  const path = pathOf(address.value)
  const run = /^\/runs\/(\d+)$/.exec(path)
  return <main id="main">{path === '/runs' ? <RunsPage /> : run ? <RunPage run={Number(run[1])} /> : <h1>Tracker DCS</h1>}</main>
}
