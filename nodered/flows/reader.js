// What one device says on the bus -> what the page shows.
// In: /<dev>/status, state, meta, ack, locks; the bus node's own status; a tick twice a second.
// Out: 1 the panel, 2 the chart. Nothing here ever becomes a command.
const CHART_MS = 2000 // one point in two seconds is enough for the eye
const REPEAT_MS = 1000 // the page takes a longer silence for a lost Node-RED
const now = Date.now()
const device = env.get('DEVICE')
const s = { acks: {}, bus: 'connecting', up: 0, last: now, chartAt: 0, sentAt: 0, ...context.get('s') }
context.set('s', s)
s.up += Math.max(0, now - s.last) // ms; goes on when the clock is set back
s.last = now

let points = null
const what = msg.status ? 'bus' : String(msg.topic || '').split('/').pop()

if (what === 'bus') {
  const fill = msg.status.fill
  s.bus = fill === 'green' ? 'connected' : fill === 'red' ? 'lost' : 'connecting'
} else if (what !== 'tick') {
  const data = parse(msg.payload)
  if (what === 'status') points = status(data)
  if (what === 'state' && data && data.state) s.state = data
  if (what === 'meta') s.meta = data
  if (what === 'locks') s.locks = data // {} when nothing is locked
  if (what === 'ack' && data && data.phase) ack(data)
}

const view = show()
if (view.fresh === 'invalid' && s.live) { // break the curve: no line across a gap
  points = Object.keys(s.live).map((series) => ({ series, x: now, y: null }))
  s.live = null
}
const due = what !== 'tick' || view.fresh !== s.fresh || s.up - s.sentAt >= REPEAT_MS
if (due) {
  s.sentAt = s.up
  s.fresh = view.fresh
}
return [due ? { payload: view } : null, points && points.length ? curve(points) : null]

// The chart's looks go with its first points; it keeps them.
function curve (payload) {
  if (s.styled) return { payload }
  s.styled = true
  const chartOptions = {
    grid: { left: 4, right: 14, top: 10, bottom: 2, containLabel: true },
    xAxis: { splitNumber: 6, axisTick: { show: false }, axisLabel: { fontSize: 11 } },
    yAxis: { splitNumber: 3, name: '', axisLabel: { fontSize: 11, ...(isSensor() ? {} : { formatter: '{value} V' }) } }
  }
  return { payload, ui_update: { chartOptions } }
}

function parse (payload) {
  try {
    const data = JSON.parse(payload)
    return data && typeof data === 'object' ? data : null
  } catch {
    return null
  }
}

// A power supply sends a list, a sensor one object.
function status (data) {
  if (!data) return null
  const list = (Array.isArray(data) ? data : [data]).filter((c) => c && typeof c === 'object')
  const first = list.find((c) => c.time) || list[0]
  if (!first) return null
  const time = Date.parse(first.time) || now
  const old = s.reading
  if (old && first.boot === old.boot && (Number.isFinite(first.seq) ? first.seq <= old.seq : time < old.time)) return null // sent twice
  s.reading = { time, boot: first.boot, seq: first.seq, at: now, up: s.up, list }

  if (s.up < s.chartAt) return null
  s.chartAt = s.up + CHART_MS - 100
  const curves = {}
  if (Array.isArray(data)) {
    for (const c of list) if (Number.isFinite(c.vmon)) curves[`ch ${c.number}`] = c.vmon
  } else {
    for (const k of fields(first)) curves[k] = first[k]
  }
  s.live = curves
  return Object.entries(curves).map(([series, y]) => ({ series, x: time, y }))
}

function fields (o) {
  return Object.keys(o).filter((k) => k !== 'seq' && Number.isFinite(o[k]))
}

// The latest answer of each channel; an answer to "all" stands on every one.
function ack (a) {
  const short = { id: a.id, op: a.op, value: a.value, phase: a.phase, code: a.code, message: a.message, closest: a.closest, at: now }
  if (a.channel === 'all') s.acks = { all: short }
  else if (a.channel !== null && a.channel !== undefined) s.acks[a.channel] = short
}

// A value older than 1.5 periods is stale, past 5 it is none at all. Its age is
// the worse of the two that can be known: since it was read, and since it came.
function show () {
  const meta = s.meta || {}
  const period = meta.period > 0 ? meta.period : 1
  const r = s.reading
  const since = r ? (s.up - r.up) / 1000 : null
  const age = r ? Math.max(since, (now - r.time) / 1000) : null
  const state = s.state ? s.state.state : 'unknown'
  let fresh = !r || age > 5 * period ? 'invalid' : age > 1.5 * period ? 'stale' : 'live'
  if (fresh === 'live' && state !== 'ready') fresh = 'stale'
  return {
    device, title: env.get('TITLE') || device, now, period, bus: s.bus, state, fresh, age,
    error: (s.state && s.state.error) || '',
    clock: r && since < period && Math.abs(r.time - r.at) > 1500 * period ? (r.time - r.at) / 1000 : 0,
    time: r ? r.time : null,
    model: meta.model || '',
    about: [meta.model, meta.serial && `serial ${meta.serial}`, meta.firmware && `firmware ${meta.firmware}`, meta.driver].filter(Boolean).join(', '),
    ops: meta.commands ? Object.keys(meta.commands) : null,
    channels: isSensor() ? [] : channels().map(channel),
    values: r && isSensor() ? fields(r.list[0]).map((name) => ({ name, value: r.list[0][name], unit: unit(name) })) : []
  }
}

function isSensor () {
  const c = s.reading && s.reading.list[0]
  return Boolean(c) && c.number === undefined
}

// Before the first reading the channels are known from meta, so that all can be
// switched off even then. Padding (no seq, no time) is not a channel.
function channels () {
  if (s.reading) return s.reading.list.filter((c) => c.seq !== undefined || c.time)
  return ((s.meta && s.meta.channels) || []).map((c) => ({ number: c.number }))
}

function unit (field) {
  return (s.meta && s.meta.fields && s.meta.fields[field] && s.meta.fields[field].unit) || ''
}

function channel (c) {
  const meta = s.meta || {}
  const own = (meta.channels || []).find((m) => m.number === c.number) || {}
  const setv = (meta.commands && meta.commands.setv) || (meta.fields && meta.fields.vreq) || {}
  const lock = tag(c.number)
  // A lock shows as soon as either says so, and goes when both do.
  return { ...c, locked: c.locked || lock ? 1 : 0, lock, label: own.label || '', min: own.min ?? setv.min, max: own.max ?? setv.max, ack: s.acks[c.number] || s.acks.all || null }
}

// Who locked the channel, why and when.
function tag (number) {
  const t = s.locks && s.locks[number]
  if (!t || typeof t !== 'object') return null
  return { user: String(t.user || 'somebody'), reason: String(t.reason || ''), at: Date.parse(t.time) || null }
}
