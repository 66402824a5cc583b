// A gateway that is not one: it serves dist/ and speaks the API with a made-up laboratory, for work on the console alone.
// Names are roles (viewer, operator, expert, admin), the password is "demo". /mock/freeze, /mock/bus and /mock/quiet?device=hv toggle faults.
import { createServer } from 'node:http'
import { readFile } from 'node:fs/promises'
import { extname } from 'node:path'
import { randomUUID } from 'node:crypto'
import { Lab, metas } from './lab.mjs'

const dist = process.env.DIST ? new URL(`file://${process.env.DIST}/`) : new URL('../dist/', import.meta.url)
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
const lab = new Lab(Number(process.env.SUPPLIES ?? 0))
const faults = { freeze: false, bus: false, quiet: new Set() }
const sessions = new Map()
const streams = new Set()
const acks = []
const audit = []
const outcomes = new Map()
const dead = new Set()
const last = new Map()
let busSince = new Date().toISOString()
let failures = 0

const bus = () => ({ connected: !faults.bus, alive: !faults.bus, since: busSince })
const say = (event, data) => { if (!faults.freeze) for (const s of streams) s.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`) }
const state = name => ({ state: 'ready', since: '2026-11-20T19:25:49Z', time: new Date().toISOString(), boot: 'b', error: '', name: undefined })
const device = name => ({ name, meta: metas[name], state: state(name), status: last.get(name)?.status ?? null, at: last.get(name)?.at ?? 0, freshness: 'live', locks: lab.locks[name] ?? {} })
const run = () => ({ run: 42, state: 'running', boot: 'b', error: '', procedure: 'calibration', device: 'ph2acf', module: 'M12', user: 'alice', start: new Date(Date.now() - 6e4).toISOString(), progress: (Date.now() / 1e5) % 1, phase: 'scan of 120 of 320 points' })
const snapshot = () => ({
  now: Date.now(), bus: bus(), devices: Object.keys(metas).sort().map(device), run: run(), acks: acks.slice(-100),
  services: ['calibration', 'loader', 'runcontrol'].map(name => ({ name, state: name === 'loader' || (name === 'runcontrol' && faults.run) ? { ...state(), state: 'unreachable', error: 'InfluxDB does not answer: dial tcp 127.0.0.1:8086: connection refused' } : state() })),
  sensors: [{ sensor: 'arduino', measurement: 'pressure', value: 101325, at: Date.now() - 5000 }, { sensor: 'arduino', measurement: 'dew point', value: -12.4, at: Date.now() - 95000 }],
})

setInterval(() => say('tick', { now: Date.now(), bus: bus() }), 500)
setInterval(() => {
  lab.step(1)
  if (faults.bus) return
  for (const name of Object.keys(metas)) {
    if (faults.quiet.has(name) || (metas[name].period === 2 && Math.floor(Date.now() / 1000) % 2)) continue
    last.set(name, { at: Date.now(), status: lab.status(name) })
    say('status', { device: name, ...last.get(name) })
  }
  say('run', run())
}, 1000)

function ack (name, c, user, id, phase, code = 'OK', message = '', closest = null, readback = null) {
  const a = { time: new Date().toISOString(), boot: 'b', id, op: c.op, channel: c.channel ?? null, value: c.value ?? null, user, phase, code, message, closest, readback }
  acks.push({ device: name, ack: a, at: Date.now() })
  audit.unshift({ seq: audit.length + 1, time: a.time, kind: 'outcome', user, verified: audit.length % 3 !== 0, via: 'bus', device: name, op: c.op, channel: String(c.channel ?? ''), value: c.value, id, phase, code, message, prev: '', hash: 'ab12' })
  say('ack', acks.at(-1))
  const o = { id, phase, code, message, closest, readback, ack: a }
  outcomes.set(id, o)
  return o
}

function command (name, c, who) {
  const id = 'gw-' + randomUUID().slice(0, 8)
  const no = (code, message, closest = null) => ({ status: 409, o: ack(name, c, who.user, id, 'rejected', code, message, closest) })
  const list = lab.channels[name]
  const chans = c.channel === 'all' ? list : list.filter(x => x.number === c.channel)
  if (chans.length === 0) return no('NO_CHANNEL', `${name} has no channel ${c.channel}`)
  const ch = chans[0]
  audit.unshift({ seq: audit.length + 1, time: new Date().toISOString(), kind: 'command', user: who.user, role: who.role, verified: true, via: 'session', address: '192.168.1.20', device: name, op: c.op, channel: String(c.channel), value: c.value, id, prev: '', hash: 'cd34' })
  if (ch.locked && !['clear', 'unlock'].includes(c.op) && c.value !== 'off') return no('LOCKED', `channel ${ch.number} is locked by ${lab.locks[name][ch.number]?.user}`)
  const max = c.op === 'setv' ? metas[name].channels.find(x => x.number === ch.number).max : metas[name].commands[c.op]?.max
  if (max !== undefined && c.value > max) return no('OUT_OF_RANGE', `${c.value} is above the limit of ${max}`, max)
  if (max !== undefined && c.value < 0) return no('OUT_OF_RANGE', `${c.value} is below the limit of 0`, 0)
  if (c.op === 'switch' && c.value === 'on' && ch.trip) return no('TRIPPED', 'a trip is latched: clear it first')
  let o = ack(name, c, who.user, id, 'accepted')
  for (const x of chans) {
    if (c.op === 'setv') x.vreq = c.value
    if (c.op === 'seti') x.ireq = c.value
    if (c.op === 'ramp') x.ramp = c.value
    if (c.op === 'switch') x.on = c.value === 'on' ? 1 : 0
    if (c.op === 'clear') x.trip = 0
    if (c.op === 'lock') { x.locked = 1; lab.locks[name][x.number] = { user: who.user, reason: c.reason, time: new Date().toISOString() } }
    if (c.op === 'unlock') { x.locked = 0; delete lab.locks[name][x.number] }
  }
  if (c.op.endsWith('lock')) say('locks', { device: name, locks: lab.locks[name] })
  const to = ch.on ? ch.vreq : 0
  const takes = ['setv', 'switch'].includes(c.op) ? Math.abs(to - ch.v) / (ch.ramp ?? 50) * 1000 + 300 : 200
  const done = () => dead.has(id) ? outcomes.get(id) : ack(name, c, who.user, id, 'done', 'OK', '', null, to)
  if (takes < 2000) o = done()
  else setTimeout(done, takes)
  return { status: takes < 2000 ? 200 : 202, o }
}

// die is a driver that ends with commands under way: the gateway says so.
function die (name) {
  for (const o of outcomes.values()) {
    if (o.phase !== 'accepted' || acks.find(a => a.ack.id === o.id)?.device !== name) continue
    Object.assign(o, { phase: 'unanswered', message: 'it was accepted, and then the driver ended: what became of it is not known' })
    dead.add(o.id)
    say('outcome', { device: name, ...o })
  }
}

function history (q) {
  const ms = s => /^-/.test(s) ? Date.now() - parseInt(s.slice(1)) * { m: 6e4, h: 36e5, d: 864e5, s: 1e3 }[s.at(-1)] : Date.parse(s)
  const from = ms(q.get('from')); const to = q.get('to') ? ms(q.get('to')) : Date.now()
  const n = Math.min(Number(q.get('points') ?? 500), Math.max(2, Math.floor((to - from) / 1000)))
  const interval = (to - from) / n
  const field = q.get('field'); const name = q.get('device')
  const time = Array.from({ length: n }, (_, i) => Math.round(from + i * interval)).filter(t => !(t > Date.now() - 7 * 36e5 && t < Date.now() - 6.5 * 36e5))
  const chans = q.getAll('channel').map(Number)
  const f = (c, t) => field === 'vmon' || field === 'vreq' ? 100 + c * 20 + Math.sin(t / 3e5 + c) * (field === 'vmon' ? 3 : 0) : field === 'imon' ? 4.9e-7 * (1 + 0.2 * c + 0.1 * Math.sin(t / 1e5)) : 21 + Math.sin(t / 1e6)
  const series = (chans.length ? chans : [null]).map(c => {
    const mean = time.map(t => f(c ?? 0, t)); const w = interval > 2000 ? 0.03 : 0
    return { channel: c, mean, min: mean.map(v => v * (1 - w)), max: mean.map(v => v * (1 + w)) }
  })
  return { device: name, field, unit: '', from: new Date(from).toISOString(), to: new Date(to).toISOString(), interval: interval > 2000 ? interval / 1000 : 0, time, series }
}

function session (user) {
  if (!['viewer', 'operator', 'expert', 'admin'].includes(user)) return null
  const links = { grafana: '/grafana/', ...(user !== 'viewer' && { dashboard: '/nodered/dashboard' }), ...(['expert', 'admin'].includes(user) && { editor: '/nodered/' }) }
  return { user, role: user, via: 'session', expires: '2026-12-01T00:00:00Z', idle: 1800, links }
}

createServer(async (req, res) => {
  const url = new URL(req.url, 'http://mock')
  const json = (status, body, type = status < 400 ? 'application/json' : 'application/problem+json') => { res.writeHead(status, { 'Content-Type': type }); res.end(body === undefined ? '' : JSON.stringify(body)) }
  const problem = (status, detail, more = {}) => json(status, { type: 'about:blank', title: 'No', status, detail, ...more })
  if (url.pathname === '/healthz') { res.writeHead(200, { 'X-Now': String(Date.now()) }); return res.end() }
  if (url.pathname.startsWith('/mock/')) {
    const what = url.pathname.slice(6)
    if (what === 'quiet') faults.quiet.has(url.searchParams.get('device')) ? faults.quiet.delete(url.searchParams.get('device')) : faults.quiet.add(url.searchParams.get('device'))
    else if (what === 'die') die(url.searchParams.get('device'))
    else if (what === 'run') faults.run = !faults.run
    else if (what === 'drop') { for (const s of streams) s.destroy() } else { faults[what] = !faults[what]; busSince = new Date().toISOString() }
    return json(200, { ...faults, quiet: [...faults.quiet] })
  }
  if (!url.pathname.startsWith('/api/v1/')) {
    const file = url.pathname === '/' || !extname(url.pathname) ? 'index.html' : url.pathname.slice(1)
    try {
      const body = await readFile(new URL(file, dist))
      res.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': csp, 'X-Content-Type-Options': 'nosniff' })
      return res.end(body)
    } catch { return problem(404, 'no such file') }
  }
  let text = ''
  for await (const part of req) text += part
  const body = text ? JSON.parse(text) : {}
  const path = url.pathname.slice(7)
  const sid = /dcs=([^;]+)/.exec(req.headers.cookie ?? '')?.[1]
  if (path === '/login') {
    if (failures >= 5) { failures = 0; res.setHeader('Retry-After', '3'); return problem(429, 'Too many attempts from this address. Wait 3 s.') }
    if (body.password !== 'demo' || !['viewer', 'operator', 'expert', 'admin'].includes(body.user)) { failures++; return problem(401, 'The name or the password is wrong.') }
    const id = `${body.user}-${randomUUID()}`
    sessions.set(id, session(body.user))
    res.setHeader('Set-Cookie', `dcs=${id}; Path=/; HttpOnly`)
    return json(200, sessions.get(id))
  }
  // A session outlives the mock's restart, as it does the gateway's.
  if (sid && !sessions.has(sid)) sessions.set(sid, session(sid.split('-')[0]))
  const who = sessions.get(sid)
  if (!who) return problem(401, 'Log in first.')
  if (path === '/me') return json(200, who)
  if (path === '/logout') { sessions.set(sid, null); for (const s of streams) if (s.sid === sid) { s.end('event: bye\ndata: {"reason":"logout"}\n\n') } return json(204) }
  if (path === '/me/password') return body.old === 'demo' ? json(204) : problem(403, 'The password now is not that.')
  if (path === '/devices') return json(200, snapshot())
  if (path === '/stream') {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    res.sid = sid
    res.write(`event: hello\ndata: ${JSON.stringify(snapshot())}\n\n`)
    streams.add(res)
    return req.on('close', () => streams.delete(res))
  }
  if (path === '/history') return json(200, history(url.searchParams))
  if (path === '/off') {
    if (who.role === 'viewer') return problem(403, 'Switching needs the role operator.')
    return json(202, { results: ['hv', 'lv'].map(d => { const { status, o } = command(d, { op: 'switch', channel: 'all', value: 'off' }, who); return { device: d, status, outcome: o } }) })
  }
  if (path === '/audit') {
    const q = url.searchParams
    const list = audit.filter(e => ['device', 'user', 'kind'].every(k => !q.get(k) || e[k] === q.get(k)) && e.seq < Number(q.get('before') ?? Infinity))
    return json(200, { entries: list.slice(0, 100), next: list.length > 100 ? list[99].seq : null })
  }
  if (path === '/runs') return json(200, { runs: [] })
  if (path === '/configurations') return json(200, { configurations: [] })
  const cmd = /^\/devices\/(\w+)\/commands$/.exec(path)
  if (cmd) {
    if (who.role === 'viewer') return problem(403, 'Commands need the role operator.')
    const { status, o } = command(cmd[1], body, who)
    return status < 400 ? json(status, o) : problem(status, o.message, o)
  }
  const known = /^\/commands\/(.+)$/.exec(path)
  if (known && outcomes.has(known[1])) return json(200, outcomes.get(known[1]))
  problem(404, 'There is no such thing.')
}).listen(Number(process.env.PORT ?? 8442), '127.0.0.1', function () { console.log(`http://127.0.0.1:${this.address().port}`) })
