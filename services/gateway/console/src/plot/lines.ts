// The lines of a plot: a field of a channel each.
import type { Ring } from '../live/ring'
import type { Line } from './Chart'
import { endOf, fromHistory, gapOf, lastOf, merge, paceOf, withGaps } from './data'
import { colour, dash } from './look'
import type { PlotWhat } from './PlotPanel'
import type { Got } from './useHistory'

export interface View { fields: string[], channels: number[], from: number, to: number, live: boolean, dark: boolean }

export function linesOf (what: PlotWhat, view: View, got: Got, ring: Ring): Line[] {
  const out: Line[] = []
  const several = view.fields.length > 1
  what.fields.forEach((f, fi) => {
    if (!view.fields.includes(f.name)) return
    const h = got.byField.get(f.name)
    const one = (channel: number | null, label: string, ci: number) => {
      const stream = what.sensor ? ring.readings(what.device, f.name) : ring.track(what.device, channel, f.name)
      let period = what.period * 1000
      const old = fromHistory(h, channel, got.shift, period)
      // An outside sensor does not say how often it measures.
      if (what.sensor) period = Math.max(period, paceOf(old.time), paceOf(stream.time))
      const gap = gapOf((h?.interval ?? 0) * 1000, period)
      // In a span of the last minutes the stream's points are the finer ones; in a long one they only go on from the archive's.
      const points = merge(old, stream, period, gap, view.live ? -Infinity : endOf(h, old, got.shift))
      const chosen = view.fields.indexOf(f.name)
      out.push({
        key: channel === null ? f.name : `${channel}-${f.name}`,
        label: channel === null ? f.name : several ? `${label} ${f.name}` : label,
        unit: f.unit,
        colour: colour(channel === null ? fi : ci, view.dark),
        dash: dash(channel === null ? 0 : chosen),
        points: withGaps(points, period, view.from - 2 * gap, view.to + gap),
        last: lastOf(points, stream, view.from, view.to),
      })
    }
    if (what.channels.length === 0) one(null, '', 0)
    else what.channels.forEach((c, ci) => { if (view.channels.includes(c.number)) one(c.number, c.label, ci) })
  })
  return out
}
