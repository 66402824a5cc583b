import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Clock } from './clock'
import { EVERY, Trips } from './trip'

function setUp () {
  const world = { now: 1_000_000, steady: 5000, answer: '400010' as string | null | Error, asked: 0, takes: 20 }
  const clock = new Clock()
  const trips = new Trips(clock, {
    ask: async () => {
      world.asked++
      world.now += world.takes
      world.steady += world.takes
      if (world.answer instanceof Error) throw world.answer
      return world.answer
    },
    now: () => world.now,
    steady: () => world.steady,
  })
  const wait = async (ms: number) => { for (const end = world.steady + ms; world.steady < end;) { world.now += 1000; world.steady += 1000; await trips.look() } }
  return { world, clock, trips, wait }
}

test('it is asked at once, and every half minute', async () => {
  const { world, clock, trips, wait } = setUp()
  await trips.look()
  assert.equal(world.asked, 1)
  assert.equal(clock.offset, 600_010)
  await wait(EVERY - 2000)
  assert.equal(world.asked, 1)
  await wait(3000)
  assert.equal(world.asked, 2)
})

test('a clock that is set here is asked about at once', async () => {
  const { world, trips, wait } = setUp()
  await trips.look()
  await wait(2000)
  world.now += 60_000
  await trips.look()
  assert.equal(world.asked, 2)
})

test('a gateway without the header, or without an answer, changes nothing', async () => {
  for (const answer of [null, '', 'soon', '-1', '0', 'Infinity', new TypeError('failed to fetch')]) {
    const { world, clock, trips } = setUp()
    clock.sample(1_000_000, 999_000)
    world.answer = answer
    await trips.go()
    assert.equal(clock.offset, 1000, String(answer))
    world.answer = '1000010'
    await trips.go()
    assert.ok(clock.offset < 100, 'and it is asked again')
  }
})
