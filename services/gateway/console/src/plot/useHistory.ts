// The archive's points of what is plotted.
import { useEffect, useState } from 'preact/hooks'
import { get, says } from '../api/client'
import type { History } from '../api/types'
import { live } from '../live/store'

// Ask has its times by the gateway's clock, which is `shift` ms ahead of that by which the archive's values were measured.
export interface Ask { device: string, sensor: boolean, channels: number[], fields: string[], span: number, zoom: { from: number, to: number } | null, points: number, shift: number }

export interface Got { byField: Map<string, History>, shift: number, error: string, busy: boolean }

const SOONEST = 60_000 // ms
const LATEST = 10 * 60_000 // ms, before the stream's points at the answer's end are forgotten

// askedFor is what is asked of the archive, at the time `now` of the gateway's.
export function askedFor (a: Pick<Ask, 'span' | 'zoom' | 'shift'>, now: number): { from: string, to?: string } {
  if (!a.zoom && a.shift === 0) return { from: `-${Math.round(a.span / 60_000)}m` }
  const { from, to } = a.zoom ?? { from: now - a.span, to: now }
  return { from: new Date(from - a.shift).toISOString(), to: new Date(to - a.shift).toISOString() }
}

// useHistory asks when what is plotted changes, after each new connection, and now and then for a span that moves on.
export function useHistory (a: Ask): Got {
  const [got, setGot] = useState<Got>({ byField: new Map(), shift: a.shift, error: '', busy: true })
  const [round, setRound] = useState(0)
  const key = JSON.stringify(a)
  const hellos = live.hellos.value
  useEffect(() => {
    const stop = new AbortController()
    const range = askedFor(a, live.clock.gateway(Date.now()))
    setGot(g => ({ ...g, busy: true }))
    Promise.all(a.fields.map(async field => {
      const h = await get<History>('/history', { device: a.device, sensor: a.sensor ? 1 : undefined, channel: a.channels, field, ...range, points: a.points }, stop.signal)
      return [field, h] as const
    })).then(all => setGot({ byField: new Map(all), shift: a.shift, error: '', busy: false }), (e: unknown) => {
      if (!stop.signal.aborted) setGot({ byField: new Map(), shift: a.shift, error: says(e), busy: false })
    })
    // The stream goes on from where the archive ends, so it is asked again when one of its intervals is over.
    const again = a.zoom ? undefined : setTimeout(() => setRound(r => r + 1), Math.min(LATEST, Math.max(SOONEST, a.span / a.points)))
    return () => {
      stop.abort()
      clearTimeout(again)
    }
  }, [key, hellos, round])
  return got
}
