// The archive's points of what is plotted.
import { useEffect, useState } from 'preact/hooks'
import { get, says } from '../api/client'
import type { History } from '../api/types'
import { live } from '../live/store'

export interface Ask { device: string, sensor: boolean, channels: number[], fields: string[], span: number, zoom: { from: number, to: number } | null, points: number }

export interface Got { byField: Map<string, History>, error: string, busy: boolean }

// useHistory asks when what is plotted changes, after each new connection, and now and then for a span that moves on.
export function useHistory (a: Ask): Got {
  const [got, setGot] = useState<Got>({ byField: new Map(), error: '', busy: true })
  const [round, setRound] = useState(0)
  const key = JSON.stringify(a)
  const hellos = live.hellos.value
  useEffect(() => {
    const stop = new AbortController()
    const iso = (t: number) => new Date(t).toISOString()
    const range = a.zoom ? { from: iso(a.zoom.from), to: iso(a.zoom.to) } : { from: `-${Math.round(a.span / 60_000)}m` }
    setGot(g => ({ ...g, busy: true }))
    Promise.all(a.fields.map(async field => {
      const h = await get<History>('/history', { device: a.device, sensor: a.sensor ? 1 : undefined, channel: a.channels, field, ...range, points: a.points }, stop.signal)
      return [field, h] as const
    })).then(all => setGot({ byField: new Map(all), error: '', busy: false }), (e: unknown) => {
      if (!stop.signal.aborted) setGot({ byField: new Map(), error: says(e), busy: false })
    })
    // The stream goes on from where the archive ends, so it is asked again when one of its intervals is over.
    const again = a.zoom ? undefined : setTimeout(() => setRound(r => r + 1), Math.max(60_000, a.span / a.points))
    return () => {
      stop.abort()
      clearTimeout(again)
    }
  }, [key, hellos, round])
  return got
}
