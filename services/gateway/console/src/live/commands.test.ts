import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import type { AckOf } from '../api/types'
import { ApiError } from '../api/client'
import { commands, commandText, follow, followUnanswered, heard, recheck, send, steps, told } from './commands'
import { live } from './store'

const ack = (phase: string, time: string, more = {}): AckOf => ({ device: 'hv', at: 1000, ack: { time, boot: 'b', id: 'gw-1', op: 'setv', phase, code: 'OK', ...more } })
const answers = (status: number, body: unknown) => { globalThis.fetch = async () => new Response(JSON.stringify(body), { status }) }
const outcome = (phase: string) => ({ id: 'gw-1', phase, code: 'OK', message: '', closest: null, readback: null, ack: null })

afterEach(() => {
  commands.value = []
  live.acks.value = []
})

test('the way of a command: sent, accepted, done', async () => {
  answers(202, outcome('accepted'))
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  live.acks.value = [ack('accepted', 't1'), ack('done', 't2', { readback: 99.98 })]
  live.acks.value.forEach(heard)
  const s = commands.value[0]!
  assert.equal(s.phase, 'done')
  assert.equal(s.readback, 99.98)
  assert.deepEqual(steps(s, live.acks.value).map(x => x.phase), ['sent', 'accepted', 'done'])
  heard(ack('accepted', 't1'))
  assert.equal(commands.value[0]!.phase, 'done', 'what has ended stays ended')
})

test('an ack that was faster than the answer counts', async () => {
  live.acks.value = [ack('accepted', 't1'), ack('done', 't2')]
  answers(202, outcome('accepted'))
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  assert.equal(commands.value[0]!.phase, 'done')
})

test('a refusal has its code and the closest valid value', async () => {
  answers(409, { type: '', title: 'Conflict', status: 409, detail: 'refused', id: 'gw-1', phase: 'rejected', code: 'OUT_OF_RANGE', closest: 500, ack: { message: '600 is above 500' } })
  await send('hv', { op: 'setv', channel: 0, value: 600 })
  const { phase, code, closest, message } = commands.value[0]!
  assert.deepEqual({ phase, code, closest, message }, { phase: 'rejected', code: 'OUT_OF_RANGE', closest: 500, message: '600 is above 500' })
})

test('who answers too late is heard all the same', async () => {
  answers(504, { type: '', title: 'No answer', status: 504, detail: 'not known', id: 'gw-1', phase: 'unanswered', code: '', closest: null })
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  assert.equal(commands.value[0]!.phase, 'unanswered')
  heard(ack('accepted', 't1'))
  assert.equal(commands.value[0]!.phase, 'accepted', 'it is under way')
  heard(ack('done', 't2'))
  assert.equal(commands.value[0]!.phase, 'done')
})

test('a start that is answered too late is no refusal, and has its run', () => {
  const late = { type: '', title: 'No answer', status: 504, detail: 'not known', id: 'gw-1', phase: 'unanswered', code: '', closest: null }
  const key = followUnanswered('run', { op: 'start' }, new ApiError(late))
  assert.equal(commands.value[0]!.key, key)
  assert.equal(commands.value[0]!.phase, 'unanswered')
  heard({ ...ack('accepted', 't1', { op: 'start', run: 7 }), device: 'run' })
  assert.deepEqual([commands.value[0]!.phase, commands.value[0]!.run], ['accepted', 7])
  assert.equal(followUnanswered('run', { op: 'start' }, new ApiError({ ...late, status: 409, phase: 'rejected' } as never)), null)
  assert.equal(followUnanswered('run', { op: 'start' }, new TypeError('no')), null)
  followUnanswered('run', { op: 'abort' }, new ApiError({ type: '', title: 'No answer', status: 0, detail: 'is the network there?' }), 7)
  assert.deepEqual([commands.value[0]!.phase, commands.value[0]!.run], ['unanswered', 7])
})

test('what the gateway does not let through, and no gateway', async () => {
  answers(403, { type: '', title: 'Forbidden', status: 403, detail: 'needs operator' })
  await send('hv', { op: 'switch', channel: 0, value: 'on' })
  assert.equal(commands.value[0]!.phase, 'refused')
  globalThis.fetch = async () => { throw new TypeError('failed to fetch') }
  await send('hv', { op: 'switch', channel: 0, value: 'off' })
  assert.equal(commands.value[0]!.phase, 'unanswered')
  assert.equal(commandText(commands.value[0]!), 'hv channel 0: switch off')
})

test('after a break it is asked, and a gateway that does not know says that nobody does', async () => {
  answers(202, outcome('accepted'))
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  answers(404, { type: '', title: 'Not found', status: 404, detail: '' })
  await recheck()
  assert.equal(commands.value[0]!.phase, 'unanswered')
  assert.match(commands.value[0]!.message, /not known/)
})

const under = async () => { answers(202, outcome('accepted')); await send('hv', { op: 'setv', channel: 0, value: 100 }) }

test('a driver that dies leaves nothing under way: the gateway says so', async () => {
  await under()
  told({ device: 'lv', ...outcome('unanswered') } as never)
  assert.equal(commands.value[0]!.phase, 'accepted', 'another device\'s')
  told({ device: 'hv', ...outcome('unanswered'), message: 'the driver ended' } as never)
  assert.deepEqual([commands.value[0]!.phase, commands.value[0]!.message], ['unanswered', 'the driver ended'])
  live.acks.value = [ack('accepted', 't1')]
  live.acks.value.forEach(heard)
  assert.equal(commands.value[0]!.phase, 'unanswered', 'that it was accepted is no news')
})

test('an outcome that was faster than the answer counts', async () => {
  told({ device: 'hv', ...outcome('unanswered'), id: 'gw-2' } as never)
  answers(202, { ...outcome('accepted'), id: 'gw-2' })
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  assert.equal(commands.value[0]!.phase, 'unanswered')
})

test('unanswered, then answered: the way is in order, and ends as it ended', async () => {
  answers(504, { type: '', title: 'No answer', status: 504, detail: 'none', id: 'gw-1', phase: 'unanswered', code: '' })
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  const later = Date.now() + 5000
  live.acks.value = [{ ...ack('done', 't2'), at: later + 1 }, { ...ack('accepted', 't1'), at: later }]
  heard(live.acks.value[1]!)
  heard(live.acks.value[0]!)
  const s = commands.value[0]!
  assert.equal(s.phase, 'done')
  assert.deepEqual(steps(s, live.acks.value).map(x => x.phase), ['sent', 'unanswered', 'accepted', 'done'])
})

test('what was unanswered is asked about after a break, too', async () => {
  answers(504, { type: '', title: 'No answer', status: 504, detail: 'none', id: 'gw-1', phase: 'unanswered', code: '' })
  await send('hv', { op: 'setv', channel: 0, value: 100 })
  answers(404, { type: '', title: 'Not found', status: 404, detail: '' })
  await recheck()
  assert.deepEqual([commands.value[0]!.phase, commands.value[0]!.message], ['unanswered', 'none'])
  answers(200, outcome('done'))
  await recheck()
  assert.equal(commands.value[0]!.phase, 'done')
})

test('a duplicate of somebody else does not end ours', async () => {
  await under()
  heard(ack('rejected', 't3', { code: 'DUPLICATE' }))
  heard(ack('failed', 't3', { op: 'switch' }))
  assert.equal(commands.value[0]!.phase, 'accepted')
})

test('what is sent otherwise is followed to its end: all off, and runs', () => {
  const off = follow('hv', { op: 'switch', channel: 'all', value: 'off' }, outcome('accepted') as never)
  heard(ack('failed', 't2', { op: 'switch', message: 'the relay hangs' }))
  const s = commands.value.find(c => c.key === off)!
  assert.deepEqual([s.phase, s.message], ['failed', 'the relay hangs'])
  live.acks.value = [{ device: 'run', at: 1, ack: { time: 't', boot: 'r', id: 'gw-7', op: 'abort', phase: 'done', code: 'OK' } }]
  const key = follow('run', { op: 'abort' }, { ...outcome('accepted'), id: 'gw-7' } as never, 42)
  const abort = commands.value.find(c => c.key === key)!
  assert.deepEqual([abort.phase, commandText(abort)], ['done', 'run 42: abort'])
})

test('what is under way is kept, however many commands there are', async () => {
  await under()
  for (let i = 0; i < 400; i++) follow('lv', { op: 'clear' }, { ...outcome('done'), id: `x${i}` } as never)
  assert.equal(commands.value.at(-1)!.id, 'gw-1')
  assert.ok(commands.value.length < 300)
})

test('all times are the gateway\'s, though this clock is an hour ahead', async () => {
  live.clock.sample(Date.now(), Date.now() - 3_600_000)
  await under()
  live.clock.forget()
  assert.ok(Math.abs(commands.value[0]!.at - (Date.now() - 3_600_000)) < 1000)
})
