// A ramp's beginning is not in the status: it is where the voltage stood when the ramp, or its target, was seen first.
import type { Channel } from '../api/types'
import type { Track } from '../live/ring'

export interface RampState { from: number, to: number, done: number, left: number | null }

// rampOf is the ramp under way on a channel, null when there is none; done is 0 to 1, left in s, null when the speed is not known.
export function rampOf (ch: Channel, track: (field: string) => Track): RampState | null {
  if (!ch.ramping || ch.vmon === undefined) return null
  const to = ch.on ? ch.vreq : 0
  const ramping = track('ramping')
  const vreq = track('vreq')
  const on = track('on')
  const vmon = track('vmon')
  let from = ch.vmon
  // The columns of a channel have the same times as long as the instrument fills the same keys.
  for (let back = 1; back <= vmon.value.length; back++) {
    const v = vmon.value.at(-back)
    if (v === undefined) break
    const same = ramping.value.at(-back) === 1 && (vreq.value.at(-back) ?? ch.vreq) === ch.vreq && (on.value.at(-back) ?? ch.on) === ch.on
    from = v
    if (!same) break // the reading before the ramp is its beginning
  }
  const whole = Math.abs(to - from)
  const rest = Math.abs(to - ch.vmon)
  const done = whole > 0 ? Math.min(1, Math.max(0, 1 - rest / whole)) : 1
  return { from, to, done, left: ch.ramp ? rest / Math.abs(ch.ramp) : null }
}
