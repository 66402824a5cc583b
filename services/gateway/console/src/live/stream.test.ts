import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Store } from './store'
import { Stream, type Source } from './stream'

class FakeSource implements Source {
  closed = false
  heard = new Map<string, (e: MessageEvent<string>) => void>()
  addEventListener (kind: string, f: (e: MessageEvent<string>) => void) { this.heard.set(kind, f) }
  close () { this.closed = true }
  say (kind: string, data: unknown = {}) { this.heard.get(kind)?.({ data: JSON.stringify(data) } as MessageEvent<string>) }
}

function setUp () {
  const world = { now: 1_000_000, sources: [] as FakeSource[], loggedIn: true, byes: [] as string[] }
  const store = new Store(world.now)
  const stream = new Stream(store, {
    open: () => { const s = new FakeSource(); world.sources.push(s); return s },
    now: () => world.now,
    alive: async () => true,
    loggedIn: () => world.loggedIn,
    bye: r => world.byes.push(r),
  })
  const wait = (ms: number) => { for (const end = world.now + ms; world.now < end;) { world.now += 250; stream.look() } }
  const hello = () => world.sources.at(-1)!.say('hello', { now: world.now, bus: { connected: true, alive: true, since: '' }, devices: [], services: [], sensors: [], run: null, acks: [] })
  return { world, store, stream, wait, hello }
}

test('a gateway that is killed is tried again within two seconds, each time', () => {
  const { world, store, stream, wait, hello } = setUp()
  stream.start()
  hello()
  for (let i = 1; i <= 8; i++) {
    world.sources.at(-1)!.say('error')
    assert.ok(world.sources.at(-1)!.closed)
    wait(2000)
    assert.equal(world.sources.length, i + 1, `attempt ${i}`)
  }
  assert.equal(store.link.value, 'gateway')
  hello()
  assert.equal(store.link.value, 'ok')
})

test('a connection that brings nothing is given up', () => {
  const { world, store, stream, wait, hello } = setUp()
  stream.start()
  hello()
  wait(2250)
  assert.equal(store.link.value, 'gateway')
  wait(2500)
  assert.ok(world.sources[0]!.closed)
  assert.equal(world.sources.length, 2)
})

test('after a sleep a new connection is made, and an old one is not heard', () => {
  const { world, store, stream, wait, hello } = setUp()
  stream.start()
  hello()
  const old = world.sources[0]!
  world.now += 600_000
  stream.look()
  assert.equal(store.link.value, 'gateway')
  assert.ok(old.closed)
  old.say('tick', { now: world.now, bus: { connected: true, alive: true, since: '' } })
  assert.equal(store.link.value, 'gateway', 'only a new hello counts')
  wait(500)
  hello()
  assert.equal(store.link.value, 'ok')
})

test('bye ends it, and so does a session that is no more', async () => {
  const a = setUp()
  a.stream.start()
  a.world.sources[0]!.say('bye', { reason: 'logout' })
  assert.deepEqual(a.world.byes, ['logout'])
  a.wait(10_000)
  assert.equal(a.world.sources.length, 1)

  const b = setUp()
  b.stream.start()
  b.world.loggedIn = false
  b.world.sources[0]!.say('error')
  await Promise.resolve()
  await Promise.resolve()
  b.wait(10_000)
  assert.equal(b.world.sources.length, 1)
})
