// The page's one stream.
import { effect } from '@preact/signals'
import { ask, me, toLogin } from '../session'
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
}
