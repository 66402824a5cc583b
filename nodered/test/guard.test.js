// The temperature guard: when it switches, when it does not, and what it says.
'use strict'

const assert = require('node:assert/strict')
const { test } = require('node:test')
const { mqtt, node } = require('./helper.js')

const SET = { TITLE: 'Room', SENSOR: 'room', FIELD: 'temperature', HOT: '35', COOL: '30', READINGS: '3', STALE_S: '30', OFF: 'hv/all, lv/1', MODE: 'act' }

function guard (t, more = {}, disk = new Map()) {
  if (!t.clock) t.mock.timers.enable({ apis: ['Date'], now: 1_000_000 })
  t.clock = true
  const run = node('guard.js', { ...SET, ...more }, disk)
  const g = {
    seq: 0, sent: [], listed: [], news: [], view: null, points: [],
    say (msg) {
      const [view, points, sent, listed, news] = run(msg)
      g.view = view.payload
      if (points) g.points.push(points.payload)
      g.sent.push(...sent)
      g.listed.push(...listed)
      g.news.push(...news.map((n) => n.payload))
      return g.view
    },
    reads (...values) {
      for (const temperature of values) {
        t.mock.timers.tick(1000)
        g.say(mqtt('/room/status', { temperature, humidity: 40, time: new Date().toISOString(), seq: ++g.seq, boot: 'a' }))
      }
      return g.view
    },
    after (ms) { t.mock.timers.tick(ms); return g.say({ topic: 'tick' }) },
    press: (act) => g.say({ payload: { act } }),
    ack: (i, phase, code = 'OK', more = {}) => g.say(mqtt(g.sent[i].topic.replace(/cmd.*/, 'ack'), { id: JSON.parse(g.sent[i].payload).id, phase, code, boot: 'd', ...more })),
    bodies: () => g.sent.map((m) => JSON.parse(m.payload)),
    disk
  }
  g.say({ status: { fill: 'green' } })
  return g
}
const HOT = [36, 36, 36]

test('too hot for three readings switches off, once, with an envelope', (t) => {
  const g = guard(t)
  assert.equal(g.reads(22).level, 'ok')
  assert.equal(g.reads(35, 35).level, 'hot')
  assert.deepEqual(g.sent, [])
  assert.equal(g.reads(35).level, 'tripped')
  assert.deepEqual(g.sent.map((m) => [m.topic, m.qos, m.retain]), [['/hv/cmd/switch/all', 1, false], ['/lv/cmd/switch/1', 1, false]])
  const [body, other] = g.bodies()
  assert.deepEqual(body, { value: 'off', id: body.id, user: 'node-red guard', expires: new Date(Date.now() + 10_000).toISOString() })
  assert.match(body.id, /^nr-/)
  assert.notEqual(body.id, other.id)
  assert.deepEqual(g.listed.map((l) => [l.sent.device, l.sent.channel, l.sent.op, l.sent.id === body.id]), [['hv', 'all', 'switch', true], ['lv', 1, 'switch', false]])
  assert.equal(g.news.length, 1)
})

test('no storm: an excursion that goes on, and hot again and again, sends nothing more', (t) => {
  const g = guard(t)
  for (let i = 0; i < 20; i++) g.reads(...HOT, 25, 25)
  g.after(60_000)
  assert.equal(g.sent.length, 2)
})

test('one or two hot readings are not three', (t) => {
  const g = guard(t)
  for (let i = 0; i < 10; i++) g.reads(36, 36, 34.9)
  assert.deepEqual(g.sent, [])
  assert.equal(g.view.level, 'warm')
})

test('a person re-arms it, and not before it is cool', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.press('rearm')
  assert.equal(g.view.level, 'tripped')
  assert.match(g.view.hindrance, /36 °C: not before 30 °C/)
  g.reads(30.1)
  assert.equal(g.press('rearm').level, 'tripped', 'warm is not cool')
  g.reads(30)
  assert.equal(g.view.hindrance, '')
  assert.equal(g.press('rearm').level, 'ok')
  g.reads(...HOT)
  assert.equal(g.sent.length, 4, 'the next excursion')
})

test('it cannot be re-armed without a value', (t) => {
  const g = guard(t)
  g.reads(...HOT, 20)
  g.after(31_000)
  assert.match(g.press('rearm').hindrance, /no value/)
  assert.equal(g.view.level, 'tripped')
})

test('no value is a state of its own: it is not OK and switches nothing', (t) => {
  const g = guard(t)
  assert.equal(g.view.level, 'no value', 'never one')
  assert.equal(g.reads(22).level, 'ok')
  assert.equal(g.after(30_000).level, 'ok')
  assert.deepEqual([g.after(1000).level, g.view.value], ['no value', null], 'stale')
  assert.equal(g.reads(22).level, 'ok')
  assert.deepEqual([g.reads(undefined).level, g.view.missing], ['no value', true], 'the field is missing')
  g.reads(22)
  for (const state of ['lost', 'stopped', 'unreachable']) assert.equal(g.say(mqtt('/room/state', { state })).level, 'no value', state)
  assert.equal(g.say(mqtt('/room/state', { state: 'ready' })).level, 'ok')
  assert.equal(g.say({ status: { fill: 'red' } }).level, 'no value', 'no broker')
  assert.deepEqual(g.sent, [])
})

test('old news does not switch: a reading with an old date, one sent twice, a retained one', (t) => {
  const g = guard(t)
  for (let i = 0; i < 5; i++) g.say(mqtt('/room/status', { temperature: 99, time: new Date(Date.now() - 60_000).toISOString(), seq: i, boot: 'b' }))
  const same = mqtt('/room/status', { temperature: 99, time: new Date().toISOString(), seq: 9, boot: 'c' })
  for (let i = 0; i < 5; i++) g.say(same)
  for (let i = 0; i < 5; i++) g.say({ ...mqtt('/sensor/room/temperature', 99), retain: true })
  assert.deepEqual(g.sent, [])
})

test('a sensor outside serves too: an object or a bare number, without a time', (t) => {
  const g = guard(t)
  g.say(mqtt('/sensor/room/temperature', { value: 21 }))
  assert.deepEqual([g.view.level, g.view.value], ['ok', 21])
  for (const v of [40, { value: 41 }, { topic: 'x', sensor: 'room', measurement: 'temperature', value: 42 }]) g.say(mqtt('/sensor/room/temperature', v))
  assert.equal(g.view.level, 'tripped')
})

test('nonsense is no value, and harms nothing', (t) => {
  const g = guard(t)
  g.reads(22)
  for (const payload of ['', '{', 'null', '[]', '"36"', '7', '{"temperature":"36"}', '{"temperature":null}']) {
    for (const topic of ['/room/status', '/sensor/room/temperature', '/hv/ack', '/hv/state']) g.say({ topic, payload })
  }
  assert.deepEqual(g.sent, [])
})

test('dry mode asks the driver and switches nothing', (t) => {
  const g = guard(t, { MODE: 'dry' })
  g.reads(...HOT)
  assert.deepEqual(g.bodies().map((b) => b.dry), [1, 1])
  g.ack(0, 'accepted', 'DRY')
  assert.deepEqual(g.view.trip.orders.map((o) => [o.where, o.ended, o.bad]), [['hv/all', true, false], ['lv/1', false, false]])
  assert.match(g.news[0], /Dry mode/)
})

test('a rehearsal does not keep it from acting when it is told to act', (t) => {
  const g = guard(t, { MODE: 'dry' })
  g.reads(...HOT)
  const acting = guard(t, {}, g.disk)
  assert.equal(acting.view.level, 'no value')
  acting.reads(...HOT)
  assert.deepEqual(acting.bodies().map((b) => b.dry), [undefined, undefined])
})

test('what became of each command is known from its acks', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'accepted')
  assert.deepEqual(g.view.trip.orders.map((o) => o.phase), ['accepted', 'sent'])
  g.ack(0, 'done')
  assert.deepEqual(g.view.trip.orders.map((o) => [o.phase, o.bad]), [['done', false], ['sent', false]])
  g.say(mqtt('/hv/ack', { id: 'of another', phase: 'rejected', code: 'BUSY' }))
  g.say(mqtt('/lv/ack', { id: g.bodies()[0].id, phase: 'rejected', code: 'BUSY' }))
  assert.equal(g.view.trip.orders[0].phase, 'done', 'of this device alone')
  assert.equal(g.news.length, 1)
})

test('a rejected or failed command is said loudly', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'rejected', 'UNREACHABLE', { message: 'the instrument does not answer' })
  g.ack(1, 'accepted')
  g.ack(1, 'failed', 'TIMEOUT')
  assert.deepEqual(g.view.trip.orders.map((o) => [o.phase, o.code, o.bad]), [['rejected', 'UNREACHABLE', true], ['failed', 'TIMEOUT', true]])
  assert.match(g.news[1], /hv\/all was NOT seen to switch off: rejected UNREACHABLE, the instrument/)
  assert.match(g.news[2], /lv\/1 was NOT/)
})

test('nobody answers, as when an access list denies it: said loudly, once', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'done')
  for (let i = 0; i < 30; i++) g.after(1000)
  assert.deepEqual(g.view.trip.orders.map((o) => [o.phase, o.bad]), [['done', false], ['no answer', true]])
  assert.match(g.view.trip.orders[1].message, /may not be commanded from here/)
  assert.equal(g.news.length, 2)
  g.ack(1, 'done')
  assert.equal(g.view.trip.orders[1].bad, false, 'late news is still news')
})

test('a driver that restarts leaves the outcome unknown; one that never ends it, too', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'accepted')
  g.ack(1, 'accepted')
  g.say(mqtt('/hv/state', { state: 'lost', boot: 'd' }))
  g.say(mqtt('/hv/state', { state: 'ready', boot: 'e' }))
  g.after(601_000)
  assert.deepEqual(g.view.trip.orders.map((o) => [o.phase, o.bad]), [['unknown', true], ['no end', true]])
})

test('a person sends once more what has not ended, with a new id', (t) => {
  const g = guard(t)
  g.press('again')
  g.reads(...HOT)
  g.ack(0, 'done')
  g.press('again')
  assert.deepEqual(g.sent.map((m) => m.topic), ['/hv/cmd/switch/all', '/lv/cmd/switch/1', '/lv/cmd/switch/1'])
  assert.notEqual(g.bodies()[1].id, g.bodies()[2].id)
  g.ack(2, 'done')
  assert.ok(g.view.trip.orders.every((o) => o.ended))
})

test('while the broker is gone no value is live, also while it is tried again', (t) => {
  const g = guard(t)
  assert.equal(g.reads(22).level, 'ok')
  for (const fill of ['red', 'yellow', 'red', 'yellow']) {
    const v = g.say({ status: { fill } })
    assert.deepEqual([v.level, v.value], ['no value', null], fill)
  }
  assert.equal(g.say({ status: { fill: 'green' } }).level, 'ok')
})

test('in dry mode nothing is switched, also not what an earlier trip left open', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'rejected', 'BUSY')
  const dry = guard(t, { MODE: 'dry' }, g.disk)
  dry.press('again')
  assert.deepEqual(dry.bodies().map((b) => [b.value, b.dry]), [['off', 1], ['off', 1]])
  dry.ack(0, 'accepted', 'DRY')
  const [hv] = dry.view.trip.orders
  assert.deepEqual([hv.bad, hv.ended], [true, false], 'checked is not off')
  assert.match(dry.news[0], /hv\/all was NOT seen to switch off: accepted DRY/)
  const acting = guard(t, {}, dry.disk)
  acting.press('again')
  assert.deepEqual(acting.bodies().map((b) => b.dry), [undefined, undefined])
})

test('readings with silence between them are not one after the other', (t) => {
  const g = guard(t)
  g.reads(36, 36)
  g.after(3_600_000)
  assert.equal(g.reads(36).count, 1)
  g.after(29_000)
  assert.equal(g.reads(36).count, 2, 'as long as it is a value still')
  assert.deepEqual(g.sent, [])
  assert.equal(g.reads(36).level, 'tripped')
})

test('what is no value ends the row: a field without a number, nonsense, an old date', (t) => {
  const old = (g) => g.say(mqtt('/room/status', { temperature: 36, time: new Date(Date.now() - 60_000).toISOString(), seq: ++g.seq, boot: 'a' }))
  for (const none of [(g) => g.reads(null), (g) => g.reads(undefined), (g) => g.say({ topic: '/room/status', payload: '{' }), old]) {
    const g = guard(t)
    for (let i = 0; i < 5; i++) {
      g.reads(36, 36)
      assert.deepEqual([none(g).level, g.view.count], ['no value', 0])
    }
    assert.deepEqual(g.sent, [])
  }
  const g = guard(t)
  for (const v of [36, 36, null, 36, 36, { value: null }, 36, 36, 'x', 36, 36]) g.say(mqtt('/sensor/room/temperature', v))
  assert.deepEqual(g.sent, [])
  assert.equal(g.say(mqtt('/sensor/room/temperature', 36)).level, 'tripped')
})

test('a sensor on both topics counts once', (t) => {
  const g = guard(t)
  const both = () => { g.say(mqtt('/sensor/room/temperature', { value: 36 })); g.reads(36) }
  both()
  assert.equal(g.view.count, 1)
  both()
  assert.equal(g.view.count, 2)
  assert.deepEqual(g.sent, [])
  both()
  assert.equal(g.view.level, 'tripped')
})

test('what is not on one of its topics is no reading', (t) => {
  const g = guard(t)
  g.reads(22)
  for (const msg of [{ payload: 'x' }, mqtt('/sensor/room/humidity', 40), mqtt('/sensor/other/temperature', 40), {}]) assert.equal(g.say(msg).value, 22)
})

test('a clock that is set back makes no dead sensor live', (t) => {
  const g = guard(t)
  g.reads(22)
  g.after(29_000)
  t.mock.timers.setTime(Date.now() - 300_000)
  assert.equal(g.say({ topic: 'tick' }).level, 'ok')
  assert.equal(g.after(2000).level, 'no value')
  t.mock.timers.setTime(Date.now() - 300_000)
  assert.equal(g.say({ topic: 'tick' }).level, 'no value', 'nor one that was dead before')
  assert.equal(g.reads(22).level, 'ok', 'and a live one is live at once')
  assert.equal(g.points.length, 2, 'on the chart too')
})

test('a clock that is set back keeps nobody waiting for an answer', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(1, 'accepted')
  t.mock.timers.setTime(Date.now() - 300_000)
  g.after(1000)
  assert.deepEqual(g.view.trip.orders.map((o) => o.phase), ['no answer', 'no end'])
  g.ack(0, 'done')
  assert.equal(g.view.trip.orders[0].phase, 'done')
})

test('how a command has ended is not taken back by a late or repeated ack', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'done')
  for (const [phase, code] of [['accepted', 'OK'], ['rejected', 'DUPLICATE'], ['failed', 'TIMEOUT']]) g.ack(0, phase, code)
  for (const end of ['failed', 'superseded', 'rejected']) {
    g.ack(1, end)
    g.ack(1, 'accepted')
    assert.equal(g.view.trip.orders[1].phase, end)
  }
  assert.deepEqual([g.view.trip.orders[0].phase, g.view.trip.orders[0].ended], ['done', true])
  g.ack(1, 'done')
  assert.equal(g.view.trip.orders[1].ended, true, 'that it is off is news')
})

test('that it has tripped outlives a restart, and nothing is sent again', (t) => {
  const g = guard(t)
  g.reads(...HOT)
  g.ack(0, 'rejected', 'BUSY')
  const again = guard(t, {}, new Map(JSON.parse(JSON.stringify([...g.disk]))))
  assert.equal(again.view.level, 'tripped')
  again.reads(...HOT)
  assert.deepEqual(again.sent, [])
  assert.equal(again.view.trip.orders[0].code, 'BUSY')
})

test('settings that cannot be meant are named, and nothing is switched', (t) => {
  for (const [more, says] of [
    [{ HOT: 'warm' }, /HOT/], [{ HOT: '' }, /HOT/], [{ COOL: '35' }, /COOL/], [{ COOL: '' }, /COOL/], [{ READINGS: '0' }, /READINGS/], [{ READINGS: '1.5' }, /READINGS/],
    [{ STALE_S: '0' }, /STALE_S/], [{ MODE: '' }, /MODE/], [{ MODE: 'Act' }, /MODE/], [{ OFF: '' }, /OFF names nothing/], [{ OFF: 'hv' }, /OFF: hv/],
    [{ OFF: 'hv/all, lv/#' }, /OFF: lv\/#/], [{ OFF: '+/0' }, /OFF/], [{ SENSOR: '' }, /SENSOR/]
  ]) {
    const g = guard(t, more)
    g.reads(...HOT, ...HOT)
    assert.equal(g.view.level, 'wrong settings', JSON.stringify(more))
    assert.match(g.view.wrong.join(), says)
    assert.deepEqual(g.sent, [])
  }
})

test('commands go below the topic root', (t) => {
  const g = guard(t, { DCS_TOPIC_ROOT: 'lab1' })
  g.reads(...HOT)
  assert.equal(g.sent[0].topic, 'lab1/hv/cmd/switch/all')
})

test('the shipped guard stands in dry mode', () => {
  const flows = require('../flows.json')
  const guards = flows.filter((n) => n.type === 'subflow:dcs-guard')
  const mode = (env) => env.find((e) => e.name === 'MODE').value
  assert.deepEqual(guards.map((n) => mode(n.env)), ['dry'])
  assert.equal(mode(flows.find((n) => n.id === 'dcs-guard').env), 'dry', 'and so does one that is added')
})
