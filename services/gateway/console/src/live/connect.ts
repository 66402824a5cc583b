// The page's one stream.
import { effect, untracked } from '@preact/signals'
import { ask, me, toLogin } from '../session'
import { heard, recheck, told } from './commands'
import { live } from './store'
import { Stream } from './stream'
import { askHealth, Trips } from './trip'

const stream = new Stream(live, {
  open: () => new EventSource('/api/v1/stream'),
  now: () => Date.now(),
  alive: ask,
  loggedIn: () => me.value !== null,
  bye: toLogin,
})

const trips = new Trips(live.clock, { ask: askHealth, now: () => Date.now(), steady: () => performance.now() })

// connect keeps the stream open while somebody is logged in.
export function connect (): void {
  setInterval(() => stream.look(), 250)
  for (const event of ['visibilitychange', 'pageshow', 'online']) addEventListener(event, () => stream.look())
  effect(() => {
    if (me.value) stream.start()
    else if (me.value === null) stream.stop()
  })
  live.onAck(heard)
  live.onOutcome(told)
  setInterval(() => { if (me.value) void trips.look() }, 1000)
  effect(() => {
    if (live.hellos.value === 0) return
    const again = live.hellos.value > 1
    untracked(() => {
      void trips.go()
      if (again) void recheck()
    })
  })
}
