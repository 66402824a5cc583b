// The page's one stream.
import { effect, untracked } from '@preact/signals'
import { ask, me, toLogin } from '../session'
import { heard, recheck } from './commands'
import { live } from './store'
import { Stream } from './stream'

const stream = new Stream(live, {
  open: () => new EventSource('/api/v1/stream'),
  now: () => Date.now(),
  alive: ask,
  loggedIn: () => me.value !== null,
  bye: toLogin,
})

// connect keeps the stream open while somebody is logged in.
export function connect (): void {
  setInterval(() => stream.look(), 250)
  for (const event of ['visibilitychange', 'pageshow', 'online']) addEventListener(event, () => stream.look())
  effect(() => {
    if (me.value) stream.start()
    else if (me.value === null) stream.stop()
  })
  let seen = 0
  effect(() => {
    const acks = live.acks.value
    // The list is cut at its beginning: what is new is at its end.
    untracked(() => { for (const a of acks.slice(-100)) if (a.at >= seen) heard(a) })
    seen = acks.at(-1)?.at ?? 0
  })
  effect(() => { if (live.hellos.value > 1) untracked(() => { void recheck() }) })
}
