// The code of the function nodes, run as Node-RED runs it.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { mqtt, node } = require('./helper.js')

const META = {
  kind: 'psu', model: 'HMP4040', period: 1, channels: [{ number: 0, label: 'module A', min: 0, max: 20 }],
  commands: { setv: { min: 0, max: 32.05 }, switch: { values: ['on', 'off'] } }
}
const reading = (t, seq, vmon, more) => [{ number: 0, on: 1, vreq: 100, vmon, time: new Date(t).toISOString(), seq, boot: 'a', ...more }]

function reader (t) {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const run = node('reader.js', { DEVICE: 'hv' })
  return {
    run,
    say: (what, payload) => run(mqtt(`/hv/${what}`, payload))[0]?.payload,
    after: (ms) => { t.mock.timers.tick(ms); return run({ topic: 'tick' })[0]?.payload }
  }
}

test('a reading is live, then stale past 1.5 periods, then none past 5', (t) => {
  const r = reader(t)
  r.say('meta', META)
  r.say('state', { state: 'ready', boot: 'a' })
  assert.equal(r.say('status', reading(Date.now(), 1, 50)).fresh, 'live')
  assert.equal(r.after(1400).fresh, 'live')
  assert.equal(r.after(200).fresh, 'stale')
  assert.equal(r.after(3300).fresh, 'stale')
  assert.equal(r.after(200).fresh, 'invalid')
})

test('no value is live while the driver is not ready', (t) => {
  const r = reader(t)
  assert.equal(r.say('status', reading(Date.now(), 1, 50)).fresh, 'stale')
  assert.equal(r.say('state', { state: 'ready', boot: 'a' }).fresh, 'live')
  for (const state of ['lost', 'stopped', 'unreachable', 'starting']) {
    assert.equal(r.say('state', { state, boot: 'a' }).fresh, 'stale', state)
  }
})

test('a reading sent twice is not a new one', (t) => {
  const r = reader(t)
  r.say('state', { state: 'ready', boot: 'a' })
  const once = reading(Date.now(), 7, 50)
  r.say('status', once)
  t.mock.timers.tick(2000)
  assert.equal(r.say('status', once).fresh, 'stale')
  assert.equal(r.say('status', reading(Date.now(), 1, 50, { boot: 'b' })).fresh, 'live', 'a new boot starts anew')
})

test('a reading with an old date is not live, and the clock is blamed', (t) => {
  const r = reader(t)
  r.say('state', { state: 'ready', boot: 'a' })
  const v = r.say('status', reading(Date.now() - 60_000, 1, 50))
  assert.equal(v.fresh, 'invalid')
  assert.equal(v.clock, -60)
})

test('a clock that is set back makes no dead driver live, and no live one dead', (t) => {
  const r = reader(t)
  r.say('state', { state: 'ready', boot: 'a' })
  r.say('status', reading(Date.now(), 1, 50))
  t.mock.timers.setTime(Date.now() - 300_000)
  assert.equal(r.say('state', { state: 'ready', boot: 'a' }).fresh, 'live')
  assert.equal(r.after(2000).fresh, 'stale', 'the page still hears of it')
  assert.equal(r.after(4000).fresh, 'invalid')
  assert.equal(r.say('status', reading(Date.now(), 2, 50)).fresh, 'live')
})

test('the channel has its own limits and its latest answer; padding is left out', (t) => {
  const r = reader(t)
  r.say('meta', META)
  r.say('ack', { op: 'setv', channel: 0, value: 5, phase: 'done', code: 'OK' })
  const v = r.say('status', [{ number: 9, on: 0, vreq: 0 }, ...reading(Date.now(), 1, 50)])
  assert.equal(v.channels.length, 1)
  assert.deepEqual([v.channels[0].max, v.channels[0].label, v.channels[0].ack.phase], [20, 'module A', 'done'])
})

test('a lock is shown with who, why and when, as soon as either topic says so', (t) => {
  const r = reader(t)
  r.say('meta', META)
  const time = '2026-11-20T19:25:49.920528Z'
  const locked = () => r.say('state', { state: 'ready', boot: 'a' }).channels[0]
  r.say('status', reading(Date.now(), 1, 50))
  assert.deepEqual([locked().locked, locked().lock], [0, null])
  r.say('locks', { 0: { user: 'alice', reason: 'hands inside', time } })
  assert.deepEqual([locked().locked, locked().lock], [1, { user: 'alice', reason: 'hands inside', at: Date.parse(time) }])
  r.say('locks', {})
  assert.equal(locked().locked, 0)
  r.say('status', reading(Date.now(), 2, 50, { locked: 1 }))
  assert.deepEqual([locked().locked, locked().lock], [1, null], 'a driver that does not say by whom')
})

test('locks are shown while the driver is away, and nonsense in them harms nothing', (t) => {
  const r = reader(t)
  r.say('meta', META)
  r.say('state', { state: 'lost', boot: 'a' })
  assert.equal(r.say('locks', { 0: { user: 'alice', reason: 'hands inside' } }).channels[0].lock.reason, 'hands inside')
  for (const nonsense of [null, 7, [], { 0: 'x' }, { 0: null }]) assert.equal(r.say('locks', nonsense).channels[0].lock, null, JSON.stringify(nonsense))
  assert.equal(r.say('locks', { 0: {} }).channels[0].lock.user, 'somebody')
})

test('before the first reading the channels are those of meta', (t) => {
  assert.deepEqual(reader(t).say('meta', META).channels.map((c) => c.number), [0])
})

test('what is not a status harms nothing', (t) => {
  const r = reader(t)
  for (const payload of ['', 'nan', '{', 'null', '[]', '[null]', '7', '{"number":"x"}']) {
    assert.equal(r.run({ topic: '/hv/status', payload })[0].payload.device, 'hv', payload)
  }
})

test('the curve breaks once when the readings end', (t) => {
  const r = reader(t)
  r.say('status', reading(Date.now(), 1, 50))
  t.mock.timers.tick(6000)
  assert.deepEqual(r.run({ topic: 'tick' })[1].payload, [{ series: 'ch 0', x: Date.now(), y: null }])
  assert.equal(r.run({ topic: 'tick' })[1], null)
})

test('a sensor shows every number it sends', (t) => {
  const r = reader(t)
  r.say('meta', { fields: { temperature: { unit: '°C' } }, period: 1 })
  const v = r.say('status', { temperature: 21, humidity: 40, time: new Date(Date.now()).toISOString(), seq: 1, boot: 'a' })
  assert.deepEqual(v.values, [{ name: 'temperature', value: 21, unit: '°C' }, { name: 'humidity', value: 40, unit: '' }])
  assert.deepEqual(v.channels, [])
})

function command (payload, env = {}) {
  const out = node('command.js', { DEVICE: 'hv', ...env })({ payload: { at: Date.now(), ...payload } })
  return out && { msg: out[0], body: out[0] && JSON.parse(out[0].payload), sent: out[1].sent }
}

test('a command is an envelope, QoS 1, not retained, that expires in 10 s', (t) => {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const { msg, body, sent } = command({ op: 'setv', channel: 0, value: '100.' })
  assert.deepEqual([msg.topic, msg.qos, msg.retain], ['/hv/cmd/setv/0', 1, false])
  assert.deepEqual(body, { id: sent.id, user: 'node-red', expires: new Date(1_010_000).toISOString(), value: 100 })
  assert.match(body.id, /^nr-/)
})

test('each op has the payload of the contract', () => {
  const keys = (p) => { const { id, user, expires, ...rest } = command(p).body; return rest }
  assert.deepEqual(keys({ op: 'switch', channel: 'all', value: 'off' }), { value: 'off' })
  assert.deepEqual(keys({ op: 'lock', channel: 1, value: 'work on it' }), { reason: 'work on it' })
  assert.deepEqual(keys({ op: 'unlock', channel: 1 }), {})
  assert.deepEqual(keys({ op: 'clear', channel: 1 }), {})
  assert.equal(command({ op: 'seti', channel: 2, value: 1e-3 }, { DCS_TOPIC_ROOT: 'lab1' }).msg.topic, 'lab1/hv/cmd/seti/2')
})

test('a value out of range is sent as it is: the driver refuses, nobody clamps', () => {
  assert.equal(command({ op: 'setv', channel: 0, value: 1e9 }).body.value, 1e9)
})

test('nonsense is not sent', () => {
  for (const p of [{}, { op: 'setv', channel: 0, value: 'x' }, { op: 'setv', channel: 'x', value: 1 }, { op: 'setv', channel: 0.5, value: 1 }, { op: 'format', channel: 0 }]) {
    assert.equal(command(p), null, JSON.stringify(p))
  }
})

test('a late click is not obeyed, an off always is', () => {
  const at = Date.now() - 6000
  assert.equal(command({ op: 'switch', channel: 0, value: 'on', at }).msg, null)
  assert.equal(command({ op: 'switch', channel: 0, value: 'on', at }).sent.late, true)
  assert.equal(command({ op: 'switch', channel: 0, value: 'off', at }).msg.topic, '/hv/cmd/switch/0')
})

function answers (t) {
  t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  const run = node('answers.js', {})
  let rows = []
  return (msg) => { rows = run(msg)?.payload || rows; return rows }
}
const ack = (id, phase, more) => mqtt('/hv/ack', { id, phase, op: 'setv', channel: 0, value: 5, code: 'OK', boot: 'a', ...more })

test('a command is one row, and its latest news stands on top', (t) => {
  const list = answers(t)
  list(ack('one', 'accepted'))
  list(ack('two', 'rejected', { code: 'OUT_OF_RANGE', closest: 1000 }))
  t.mock.timers.tick(1500)
  const rows = list(ack('one', 'done'))
  assert.deepEqual(rows.map((r) => [r.id, r.phase, r.took]), [['one', 'done', 1.5], ['two', 'rejected', null]])
  assert.equal(rows[1].closest, 1000)
})

test('only the last 20 are kept', (t) => {
  const list = answers(t)
  for (let i = 0; i < 30; i++) list(ack(`id${i}`, 'accepted'))
  const rows = list({ topic: 'tick' })
  assert.deepEqual([rows.length, rows[0].id], [20, 'id29'])
})

test('a command without an answer says so when it has expired', (t) => {
  const list = answers(t)
  list({ sent: { id: 'x', device: 'hv', op: 'setv', channel: 0, value: 1, user: 'node-red', at: Date.now() } })
  t.mock.timers.tick(9000)
  assert.equal(list({ topic: 'tick' })[0].phase, 'sent')
  t.mock.timers.tick(1500)
  assert.equal(list({ topic: 'tick' })[0].phase, 'no answer')
  assert.match(list({ topic: 'tick' })[0].message, /may not be commanded from here/, 'an access list denies in silence')
  assert.equal(list(ack('x', 'accepted'))[0].phase, 'accepted', 'late news is still news')
})

test('an accepted that comes late takes back no end, and a clock that is set back keeps nobody waiting', (t) => {
  const list = answers(t)
  list(ack('one', 'done'))
  assert.equal(list(ack('one', 'accepted'))[0].phase, 'done')
  list({ sent: { id: 'x', device: 'hv', op: 'setv', channel: 0, value: 1, user: 'node-red', at: Date.now() } })
  t.mock.timers.setTime(Date.now() - 300_000)
  assert.equal(list({ topic: 'tick' })[0].phase, 'no answer')
  assert.equal(list(ack('x', 'done'))[0].took, null)
})

test('a duplicate leaves the row of the first', (t) => {
  const list = answers(t)
  list(ack('one', 'done'))
  assert.deepEqual(list(ack('one', 'rejected', { code: 'DUPLICATE' })).map((r) => r.phase), ['rejected', 'done'])
})

test('a new boot leaves the outcome of the old commands unknown', (t) => {
  const list = answers(t)
  list(ack('one', 'accepted'))
  list(mqtt('/lv/state', { state: 'ready', boot: 'b' }))
  assert.equal(list(mqtt('/hv/state', { state: 'lost', boot: 'a' }))[0].phase, 'accepted')
  assert.equal(list(mqtt('/hv/state', { state: 'ready', boot: 'b' }))[0].phase, 'unknown')
})
