// Temperature guard: too hot for some readings -> `switch off`, once, until a person re-arms it.
// In: the sensor's status, or its value from outside; /+/ack and /+/state; the bus node's own status;
// a tick every second; the page's buttons ({payload:{act}}).
// Out: 1 the page, 2 the chart, 3 the bus, 4 the list of commands, 5 news for everybody.
// No interlock: it needs the sensor, the network, the broker, Node-RED and the driver, all of them.
const ANSWER_MS = 10000 // the command has expired by then
const END_MS = 600000 // a driver ends every command; if it was replaced meanwhile nobody does
const CHART_MS = 2000
const now = Date.now()
const field = env.get('FIELD')
const sensor = env.get('SENSOR')
const set = settings()
const s = { count: 0, bus: 'connecting', up: 0, last: now, chartAt: 0, ...context.get('s') }
context.set('s', s)
s.up += Math.max(0, now - s.last) // ms; goes on when the clock is set back
s.last = now
// What must outlive a restart: that it has tripped, and what came of it.
const kept = context.get('kept', 'disk') || { trip: null }
if (kept.trip && kept.trip.dry && set.mode === 'act') { // it was only a rehearsal
  kept.trip = null
  keep()
}

const orders = [] // what goes out to the bus
const news = []
let points = null
const [device, kind] = String(msg.topic || '').split('/').slice(-2)

if (msg.status) s.bus = msg.status.fill === 'green' ? 'connected' : msg.status.fill === 'red' ? 'lost' : 'connecting'
else if (msg.payload && msg.payload.act) acted(msg.payload.act)
else if (msg.topic === 'tick') waited()
else if (kind === 'ack') answered(parse(msg.payload))
else if (kind === 'state') stated(parse(msg.payload))
else if (!msg.retain) heard(parse(msg.payload)) // a retained value is of unknown age

const view = show()
return [
  { payload: view },
  points ? { payload: points } : null,
  orders.map((o) => o.command),
  orders.map((o) => o.sent),
  news.map((text) => ({ payload: text }))
]

function keep () {
  context.set('kept', kept, 'disk')
}

function parse (payload) {
  try {
    return JSON.parse(payload)
  } catch {
    return null
  }
}

// settings reads what the expert has set; what cannot be meant is named and nothing is switched.
function settings () {
  const number = (name) => {
    const text = String(env.get(name) ?? '').trim()
    return text === '' ? NaN : Number(text)
  }
  const x = { hot: number('HOT'), cool: number('COOL'), readings: number('READINGS'), stale: number('STALE_S'), mode: String(env.get('MODE')), targets: [], wrong: [] }
  if (!sensor || !field) x.wrong.push('SENSOR and FIELD name what is watched')
  if (!Number.isFinite(x.hot)) x.wrong.push('HOT is not a number')
  if (!Number.isFinite(x.cool) || x.cool >= x.hot) x.wrong.push('COOL is not a number below HOT')
  if (!(Number.isInteger(x.readings) && x.readings > 0)) x.wrong.push('READINGS is not a whole number from 1')
  if (!(x.stale > 0)) x.wrong.push('STALE_S is not a time in seconds')
  if (x.mode !== 'dry' && x.mode !== 'act') x.wrong.push('MODE is neither dry nor act')
  for (const one of String(env.get('OFF') || '').split(',').map((t) => t.trim()).filter(Boolean)) {
    const [, dev, channel] = /^([A-Za-z0-9_-]+)\/(\d+|all)$/.exec(one) || []
    if (dev) x.targets.push({ device: dev, channel: channel === 'all' ? channel : Number(channel) })
    else x.wrong.push(`OFF: ${one} is not a device/channel or device/all`)
  }
  if (!x.targets.length) x.wrong.push('OFF names nothing')
  return x
}

// A driver sends a status; a sensor outside {"value":21.3} or a bare number, without a time.
// Once there is a status it counts alone: the same reading may come outside too.
function heard (data) {
  const object = data && typeof data === 'object' && !Array.isArray(data)
  if (kind === 'status') {
    if (object && !s.ours) Object.assign(s, { ours: true, reading: null })
    read(object ? data : {})
  } else if (!s.ours && String(msg.topic).endsWith(`/sensor/${sensor}/${field}`)) read({ [field]: object ? data.value : data })
}

// Readings are one after the other: what is no value ends the row, and so does a gap.
function read (data) {
  const old = s.reading
  if (old && data.boot && data.boot === old.boot && data.seq <= old.seq) return // sent twice
  if (!(age() <= set.stale)) s.count = 0
  const time = Date.parse(data.time)
  const value = Number.isFinite(data[field]) ? data[field] : null
  s.reading = { value, time: Number.isFinite(time) ? time : now, up: s.up, boot: data.boot, seq: data.seq }
  const valid = value !== null && age() <= set.stale
  s.count = valid && value >= set.hot ? s.count + 1 : 0
  if (!valid) return // neither hot nor not
  if (s.up >= s.chartAt) {
    s.chartAt = s.up + CHART_MS - 100
    points = [[field, value], ['too hot', set.hot], ['cool', set.cool]].map(([series, y]) => ({ series, x: now, y }))
  }
  if (s.count >= set.readings && !kept.trip && !set.wrong.length) trip(value)
}

// Seconds. The worse of two ages: since it was read, and since it came.
function age () {
  return s.reading ? Math.max(s.up - s.reading.up, now - s.reading.time) / 1000 : Infinity
}

function trip (value) {
  const dry = set.mode !== 'act'
  kept.trip = { at: now, value, dry, orders: set.targets.map((t) => off(t, dry)) }
  keep()
  news.push(`${name()}: ${degrees(value)} is too hot. ${dry ? 'Dry mode: nothing is switched.' : 'Switching off ' + set.targets.map(where).join(', ') + '.'}`)
}

function off (target, dry) {
  const id = `nr-${now.toString(36)}-${Math.random().toString(36).slice(2, 8)}`
  const envelope = { value: 'off', id, user: 'node-red guard', expires: new Date(now + ANSWER_MS).toISOString(), ...(dry ? { dry: 1 } : {}) }
  const topic = `${env.get('DCS_TOPIC_ROOT') || ''}/${target.device}/cmd/switch/${target.channel}`
  orders.push({
    command: { topic, payload: JSON.stringify(envelope), qos: 1, retain: false },
    sent: { sent: { id, ...target, op: 'switch', value: 'off', user: envelope.user, at: now } }
  })
  return { ...target, id, at: now, phase: 'sent', code: '', message: '' }
}

// What a person does on the page. Both are safe at any time: sending an off once more, and watching again.
// In dry mode nothing is switched, also when it acted before.
function acted (act) {
  if (!kept.trip || set.wrong.length) return
  if (act === 'again') {
    kept.trip.orders = kept.trip.orders.map((o) => (ended(o) ? o : off({ device: o.device, channel: o.channel }, kept.trip.dry || set.mode !== 'act')))
    keep()
  } else if (act === 'rearm' && !hindrance()) {
    kept.trip = null
    s.count = 0
    keep()
  }
}

// Why it cannot be re-armed now.
function hindrance () {
  if (!current()) return 'there is no value to watch'
  return s.reading.value <= set.cool ? '' : `it is ${degrees(s.reading.value)}: not before ${degrees(set.cool)}`
}

// A dry command ends when it was checked; where it was in earnest, that does not make an output off.
function checked (o) {
  return o.phase === 'accepted' && o.code === 'DRY'
}

function ended (o) {
  return o.phase === 'done' || (checked(o) && kept.trip.dry)
}

function bad (o) {
  return !['sent', 'accepted', 'done'].includes(o.phase) || (checked(o) && !ended(o))
}

function change (o, phase, code, message) {
  Object.assign(o, { phase, code, message })
  keep()
  if (bad(o)) news.push(`${name()}: ${where(o)} was NOT seen to switch off: ${[[phase, code].filter(Boolean).join(' '), message].filter(Boolean).join(', ')}`)
}

// An ack may come twice, and late: none takes back how a command has ended.
function answered (a) {
  const o = a && kept.trip && kept.trip.orders.find((x) => x.id === a.id && x.device === device)
  if (!o || !a.phase || ended(o)) return
  if (a.phase === 'accepted' && !['sent', 'no answer'].includes(o.phase)) return
  o.boot = a.boot
  const code = a.code === 'OK' ? '' : a.code
  if (o.phase !== a.phase || o.code !== code) change(o, a.phase, code, a.message || '')
}

// The sensor's own state; and a driver that has started anew no longer knows what it was told.
function stated (st) {
  if (!st || !st.state) return
  if (device === sensor) s.state = st.state
  for (const o of (kept.trip && kept.trip.orders) || []) {
    if (o.device === device && st.boot && o.boot && o.boot !== st.boot && o.phase === 'accepted' && !checked(o)) change(o, 'unknown', '', 'the driver restarted')
  }
}

function waited () {
  for (const o of (kept.trip && kept.trip.orders) || []) {
    const over = (ms) => now - o.at > ms || now < o.at - 1000 // or the clock was set back: nobody can tell any more
    if (o.phase === 'sent' && over(ANSWER_MS)) change(o, 'no answer', '', 'the driver is away, or may not be commanded from here')
    if (o.phase === 'accepted' && !checked(o) && over(END_MS)) change(o, 'no end', '', 'accepted, and then nothing')
  }
}

function current () {
  return Boolean(s.reading) && s.reading.value !== null && age() <= set.stale && s.bus === 'connected' && !['lost', 'stopped', 'unreachable'].includes(s.state)
}

// No value is a state of its own: it is not cool, and it switches nothing.
function level () {
  if (set.wrong.length) return 'wrong settings'
  if (kept.trip) return 'tripped'
  if (!current()) return 'no value'
  return s.reading.value >= set.hot ? 'hot' : s.reading.value > set.cool ? 'warm' : 'ok'
}

function show () {
  const r = s.reading
  return {
    title: name(), sensor, field, bus: s.bus, now, level: level(), mode: set.mode, wrong: set.wrong,
    value: current() ? r.value : null, age: r ? age() : null, missing: Boolean(r) && r.value === null, sensorState: s.state || 'unknown',
    hot: set.hot, cool: set.cool, stale: set.stale, count: s.count, readings: set.readings, targets: set.targets.map(where),
    trip: kept.trip && { at: kept.trip.at, value: kept.trip.value, dry: kept.trip.dry, orders: kept.trip.orders.map((o) => ({ ...o, where: where(o), bad: bad(o), ended: ended(o) })) },
    hindrance: kept.trip ? hindrance() : ''
  }
}

function name () {
  return env.get('TITLE') || `${sensor} ${field}`
}

function where (t) {
  return `${t.device}/${t.channel}`
}

function degrees (x) {
  return `${Number(x.toFixed(1))} °C`
}
