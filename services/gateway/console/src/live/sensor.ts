// What an outside sensor's reading is worth. Such a sensor says no period: past a minute its value is taken for old.
import type { Reading } from '../api/types'
import { duration } from '../ui/format'
import type { Link } from './store'

const OLD = 60_000 // ms

// readingFresh is by the gateway's time `now`. Of a retained reading nobody knows when it was measured.
export function readingFresh (r: Pick<Reading, 'at'>, now: number, link: Link): 'live' | 'stale' {
  return link === 'ok' && r.at > 0 && now - r.at < OLD ? 'live' : 'stale'
}

// readingAge is how old a reading is, in words; null when nobody knows.
export function readingAge (r: Pick<Reading, 'at'>, now: number): string | null {
  return r.at > 0 ? duration(now - r.at) : null
}
