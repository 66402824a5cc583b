// A run is known from run control's last word. When nobody is there to say the next, it is how it was, and not how it is.
import { underWay } from '../runs/data/states'
import { live, type Store } from './store'

// LostRun says since when nothing is known of the run, ms since 1970 of the gateway's clock, and why.
export interface LostRun { since: number, why: string }

const when = (...times: Array<string | undefined>): number => Date.parse(times.find(t => t) ?? '')

// lostRun is null for a run that is live, and for one that has ended: that stays true.
export function lostRun (store: Store = live): LostRun | null {
  const run = store.run.value
  if (!run || !underWay(run.state)) return null
  const link = store.link.value
  if (link === 'gateway') return { since: store.heard.value, why: 'The gateway is lost' }
  if (link === 'bus') return { since: when(store.bus.value?.since, run.time), why: 'The gateway has lost the bus' }
  const control = store.services.value.find(s => s.name === 'runcontrol')?.state
  if (control?.state !== 'ready') return { since: when(control?.since, run.time, run.since), why: `Run control is ${control?.state ?? 'not there'}` }
  const device = run.device ? store.device(run.device).value?.state : undefined
  if (run.device && (device?.state === 'lost' || device?.state === 'stopped')) {
    const since = store.said(run.device, device.since)
    return { since: Number.isFinite(since) ? since : when(run.time, run.since), why: `${run.device} is ${device.state}` }
  }
  return null
}
