import assert from 'node:assert/strict'
import { afterEach, test } from 'node:test'
import type { AckOf } from '../api/types'
import { commands, commandText, heard, recheck, send, steps } from './commands'
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
  assert.equal(commands.value[0]!.phase, 'unanswered')
  heard(ack('done', 't2'))
  assert.equal(commands.value[0]!.phase, 'done')
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
