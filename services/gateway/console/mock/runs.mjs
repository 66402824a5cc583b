// A gateway that is not one, for work on the pages about runs: it serves a built console and runs that it makes up, and starts and aborts them.
//   RESULTS=folder with a/, b/, c/: results of ph2acfsim (summary.json, scurves.csv, raw.bin, log.txt)   DIST=dist   PORT=8444
// /mock/role?is=viewer, /mock/mongo (away or back), /mock/freeze (no events), /mock/slow?s=10 (the next run's program)
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { extname, join } from 'node:path'

const results = process.env.RESULTS ?? '.'
const dist = process.env.DIST ?? new URL('../dist', import.meta.url).pathname
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }
const csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
const mock = { role: 'expert', mongo: true, freeze: false, slow: 8 }
const streams = new Set()
const busSince = new Date().toISOString()
const iso = ms => new Date(ms).toISOString()

const parameters = {
  module: { type: 'string', pattern: '[A-Z][A-Z0-9_]{0,31}', required: true, title: 'Name of the module' },
  vcal: { type: 'int', min: 0, max: 255, default: 200, unit: 'DAC', title: 'Amplitude of the test pulse' },
  channels: { type: 'int', min: 1, max: 16384, default: 2032, title: 'Number of channels' },
  events: { type: 'int', min: 10, max: 10000, default: 100, title: 'Triggers at each point of the S-curves' },
  duration: { type: 'float', min: 0, max: 1200, default: 8, unit: 's', title: 'How long it takes' },
  fault: { type: 'string', values: ['none', 'fail', 'hang', 'crash'], default: 'none', title: 'What is to go wrong' },
  keep_raw: { type: 'bool', default: true, title: 'Whether raw events are kept' },
}
const meta = {
  kind: 'calibration', model: 'ph2acf', driver: 'ph2acf 0.1.0', period: 1, fields: {}, commands: { start: {}, abort: {} },
  procedures: {
    calibration: { title: 'Threshold and noise of all channels of a module, from S-curves', limit: 1800, parameters },
    iv: { title: 'Current over voltage of a sensor', limit: 600, parameters: { module: parameters.module, highest: { type: 'float', min: 0, max: 500, default: 300, unit: 'V', title: 'Highest voltage' } } },
  },
}

const read = (name, path, how) => {
  const data = readFileSync(path)
  return { name, size: data.length, sha256: createHash('sha256').update(data).digest('hex'), read: how, path }
}
const text = (name, body, how) => ({ name, size: body.length, sha256: createHash('sha256').update(body).digest('hex'), read: how, body })
const kinds = { 'summary.json': 'json', 'scurves.csv': 'csv', 'raw.bin': 'raw', 'log.txt': 'log' }
const sample = of => readdirSync(join(results, of)).filter(n => kinds[n] && statSync(join(results, of, n)).isFile()).map(n => read(n, join(results, of, n), kinds[n]))

const field = (v, w, unit) => ({ first: v, last: v + w, min: v - w, max: v + w, mean: v, count: 8, unit })
const capsule = (from, to, v) => ({
  from: iso(from), to: iso(to), missing: v === 0 ? 2 : 0, dropped: 0,
  devices: {
    hv: {
      kind: 'psu', model: 'NR042060r4050000200', serial: '680041', firmware: '1.74', driver: 'psu 0.1.0', statuses: 8, missing: v === 0 ? 2 : 0, boots: ['ca8ad01dae'],
      channels: [0, 1].map(number => ({
        number, label: number ? '' : 'Module A', at_start: { on: v && !number ? 1 : 0, vreq: number ? 0 : v, vmon: number ? 0 : v, ireq: 0.008, imon: 9.85e-7, ramp: v ? 50 : 10, ramping: 0, trip: 0 }, at_start_time: iso(from - 500),
        fields: { on: field(v && !number ? 1 : 0, 0), vmon: field(number ? -0.001 : v, 0.008, 'V'), imon: field(number ? -2.6e-10 : 9.9e-7, 3e-10, 'A'), trip: field(0, 0) }, ...(v === 0 && number ? { trips: [{ time: iso(from + 3000), what: 'trip' }] } : {}),
      })),
    },
    dht_room: { kind: 'sensor', model: 'DHT22', driver: 'sensor 0.1.0', statuses: 4, missing: 0, channels: [{ at_start: { humidity: 40.55, temperature: 21.24 }, fields: { temperature: field(21.25, 0.02, '°C'), humidity: field(40.6, 0.1, '%') } }] },
  },
  ...(v === 0 ? { refused: [{ time: iso(from + 1000), device: 'hv', channel: '0', op: 'setv', value: '900', user: 'bob', phase: 'rejected', code: 'OUT_OF_RANGE', message: '900 is above the limit of 500' }] } : {}),
})
const hv = { name: 'hv-300', setpoints: [{ device: 'hv', channel: 0, op: 'ramp', value: 50 }, { device: 'hv', channel: 0, op: 'setv', value: 300 }, { device: 'hv', channel: 0, op: 'switch', value: 'on' }], sensors: [{ device: 'dht_room', field: 'temperature', min: 15, max: 30 }], timeout: 300, wait: 20 }
const down = { name: 'hv-down', setpoints: [{ device: 'hv', channel: 0, op: 'setv', value: 0 }, { device: 'hv', channel: 0, op: 'switch', value: 'off' }], timeout: 300 }

const runs = new Map()
function keep (run, more) {
  const asked = Date.parse('2026-11-20T08:00:00Z') + run * 17 * 60e3
  const [start, end] = [asked + 6400, asked + 14500]
  const path = ['configuring', 'running', 'finishing', more.state ?? 'finished']
  const r = {
    run, uid: 'ae0e5eb60ab0' + run, state: 'finished', procedure: 'calibration', module: 'M12', device: 'ph2acf', user: 'alice', id: 'ramp-' + run, asked: iso(asked), start: iso(start), end: iso(end), duration: 8.064,
    stored: iso(end + 7800), exit: 0, parameters: { module: 'M12', vcal: 200, channels: 2032, events: 100, duration: 8, fault: 'none', keep_raw: true }, results_state: 'stored', program: '/home/alice/trackerdcs/bin/ph2acfsim',
    arguments: ['--procedure', 'calibration', '--module', 'M12', '--run', String(run)], versions: { program: 'ph2acfsim 1.0.0', driver: 'ph2acf 0.1.0', calibration: '0.1.0' },
    transitions: path.map((to, i) => ({ name: ['configure', 'run', 'finish', 'end'][i], from: ['idle', ...path][i], to, time: iso([asked, start, end, end + 6300][i]) })), ...more,
  }
  const log = r.files?.find(f => f.name === 'log.txt')
  if (log) r.log = readFileSync(log.path, 'utf8').trim().split('\n').map((t, i) => ({ time: iso(start + i * 10), stream: / WARN| ERROR/.test(t) ? 'err' : 'out', text: t }))
  const summary = r.files?.find(f => f.name === 'summary.json')
  if (summary) r.results = { summary: JSON.parse(readFileSync(summary.path, 'utf8')), scurves: { rows: 2032, columns: [{ name: 'chip', count: 2032, min: 0, max: 7, mean: 3.5 }, { name: 'noise', count: 2031, min: 5.1, max: 20.7, mean: 6.1 }] } }
  if (more.v !== undefined) r.capsule = capsule(start, end, more.v)
  delete r.v
  runs.set(run, r)
}
const iv = 'device;voltage;current;comment\n' + Array.from({ length: 61 }, (_, i) => `hv;${i * 5};${(1e-8 + i * 1.1e-8 + (i > 50 ? (i - 50) ** 3 * 1e-9 : 0)).toExponential(4)};${i > 55 ? '"breaks down; soon"' : ''}`).join('\n')
for (let n = 10; n < 42; n++) keep(n, { files: [], v: 300, ...(n % 7 === 3 ? { state: 'failed', error: 'the program ended with exit code 3: 2026-11-21T13:09:27.081Z ERROR the FPGA does not answer on its first link' } : {}), module: 'M' + (n % 5 + 10) })
keep(1, { files: sample('b'), v: 0 })
keep(2, { state: 'failed', error: 'hv/all ramp 50: rejected NO_CHANNEL: ramp is for one channel at a time', start: undefined, end: undefined, duration: undefined, exit: undefined, results_state: 'none', transitions: [{ name: 'configure', from: 'idle', to: 'configuring', time: '2026-11-20T08:34:00Z' }, { name: 'fail', from: 'configuring', to: 'failed', time: '2026-11-20T08:34:02.5Z', reason: 'hv/all ramp 50: rejected NO_CHANNEL' }] })
keep(3, { files: sample('a'), v: 300, configurations: { run: hv, end: down } })
keep(4, { files: sample('c'), v: 280, module: 'M7' })
keep(5, { state: 'aborted', error: 'aborted by bob: wrong module', results_state: 'none', files: [] })
keep(6, { procedure: 'iv', files: [text('iv.csv', iv, 'csv'), text('odd.csv', 'a,b\n1\n', 'csv')], results: { 'iv': { rows: 61, columns: [] } }, left_out: ['core: no regular file'] })
keep(7, { state: 'finishing', stored: undefined, results_state: 'received', error: 'waiting for the sink calibration, which is lost' })

let run = { run: 41, state: 'finished', boot: 'b', error: '', procedure: 'calibration', device: 'ph2acf', module: 'M11', user: 'alice', asked: runs.get(41).asked, since: runs.get(41).stored, results: 'stored', transitions: runs.get(41).transitions }
const bus = () => ({ connected: true, alive: true, since: busSince })
const say = (event, data) => { if (!mock.freeze) for (const s of streams) s.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`) }
const state = { state: 'ready', since: busSince, time: busSince, boot: 'b', error: '' }
const device = { name: 'ph2acf', meta, state, status: null, at: 0, freshness: 'none', locks: {} }
const snapshot = () => ({ now: Date.now(), bus: bus(), devices: [device], services: [{ name: 'runcontrol', state }], sensors: [], run, acks: [] })
setInterval(() => say('tick', { now: Date.now(), bus: bus() }), 500)

let timer
function begin (body, user) {
  const n = run.run + 1
  const asked = Date.now()
  const phases = [[0, 'configuring'], [2500, 'running'], [2500 + mock.slow * 1000, 'finishing'], [4500 + mock.slow * 1000, 'finished']]
  run = { run: n, state: 'idle', boot: 'b', error: '', procedure: body.procedure, device: 'ph2acf', module: body.parameters.module, user, asked: iso(asked), parameters: body.parameters, transitions: [], results: 'expected', configurations: body.configurations?.end ? { end: { name: body.configurations.end } } : undefined }
  let line = 0
  const tick = () => {
    const t = Date.now() - asked
    const to = run.stop ? (t > run.stop + 1500 ? 'aborted' : 'finishing') : phases.findLast(([at]) => t >= at)[1]
    if (to !== run.state) run = { ...run, transitions: [...run.transitions, { name: { configuring: 'configure', running: 'run', finishing: 'finish' }[to] ?? 'end', from: run.state, to, time: iso(Date.now()) }], state: to, since: iso(Date.now()) }
    if (to === 'configuring') run.phase = 'setpoint 2 of 3: hv/0 setv 300'
    if (to === 'running') {
      run = { ...run, progress: Math.min(1, (t - 2500) / mock.slow / 1000), phase: t < 5000 ? 'pedestal' : 'scurves' }
      say('log', { device: 'ph2acf', log: { run: n, boot: 'b', first: line + 1, lines: Array.from({ length: 3 }, () => ({ time: iso(Date.now()), stream: ++line % 17 === 0 ? 'err' : 'out', text: `${iso(Date.now())} ${line % 17 === 0 ? 'WARN channel 485 is noisy' : `INFO [progress] ${(run.progress * 100).toFixed(1)} % phase=${run.phase}`}` })) } })
    }
    if (to === 'finished') run.results = 'received'
    say('run', run)
    if (to !== 'finished' && to !== 'aborted') return
    clearInterval(timer)
    setTimeout(() => keep(n, { procedure: run.procedure, module: run.module, state: run.state, error: run.error, parameters: body.parameters, asked: run.asked, files: run.state === 'finished' ? sample('a') : [], v: 300, transitions: run.transitions, user }), 2500)
  }
  timer = setInterval(tick, 500)
  keep(n, { state: 'configuring', stored: undefined, start: undefined, end: undefined, duration: undefined, results_state: 'expected', transitions: [], asked: iso(asked), module: run.module, parameters: body.parameters, exit: undefined, user })
  tick()
  return n
}

createServer(async (req, res) => {
  const url = new URL(req.url, 'http://mock')
  const json = (status, body, type = status < 400 ? 'application/json' : 'application/problem+json') => { res.writeHead(status, { 'Content-Type': type }); res.end(JSON.stringify(body)) }
  const problem = (status, title, detail, more = {}) => json(status, { type: 'urn:trackerdcs:problem:mock', title, status, detail, ...more })
  const q = url.searchParams
  if (url.pathname.startsWith('/mock/')) {
    const what = url.pathname.slice(6)
    if (what === 'role') mock.role = q.get('is')
    else if (what === 'slow') mock.slow = Number(q.get('s'))
    else mock[what] = !mock[what]
    return json(200, mock)
  }
  if (!url.pathname.startsWith('/api/v1/')) {
    const file = extname(url.pathname) ? url.pathname.slice(1) : 'index.html'
    try {
      const body = await readFile(join(dist, file))
      res.writeHead(200, { 'Content-Type': types[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': csp, 'X-Content-Type-Options': 'nosniff' })
      return res.end(body)
    } catch { return problem(404, 'Not there', 'no such file') }
  }
  let body = ''
  for await (const part of req) body += part
  body = body ? JSON.parse(body) : {}
  const path = decodeURIComponent(url.pathname.slice(7))
  const may = role => ['viewer', 'operator', 'expert', 'admin'].indexOf(mock.role) >= ['viewer', 'operator', 'expert', 'admin'].indexOf(role)
  if (path === '/me' || path === '/login') return json(200, { user: mock.role, role: mock.role, via: 'session', expires: iso(Date.now() + 864e5), idle: 1800, links: {} })
  if (path === '/stream') {
    res.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    res.write(`event: hello\ndata: ${JSON.stringify(snapshot())}\n\n`)
    streams.add(res)
    return req.on('close', () => streams.delete(res))
  }
  if (path === '/devices') return json(200, snapshot())
  const outcome = (phase, code, message, more) => ({ id: 'gw-1', phase, code, message, closest: null, readback: null, ack: null, ...more })
  if (path === '/runs' && req.method === 'POST') {
    if (!may('expert')) return problem(403, 'Not allowed', 'Starting a run needs the role expert.')
    if (!/^[A-Z]/.test(body.parameters?.module ?? '') || body.parameters.module === 'M99') return problem(409, 'Refused', `ph2acf: parameter module: "${body.parameters?.module}" is not on the bench`, outcome('rejected', 'BAD_VALUE'))
    if (!body.dry && ['configuring', 'running', 'finishing'].includes(run.state)) return problem(409, 'Refused', `run ${run.run} is under way`, outcome('rejected', 'BUSY'))
    if (body.dry) return json(200, outcome('accepted', 'DRY', 'checked and not executed'))
    const n = begin(body, mock.role)
    return json(202, outcome('accepted', 'OK', `run ${n} has its number`, { run: n }))
  }
  const abort = /^\/runs\/(\d+)\/abort$/.exec(path)
  if (abort) {
    if (!may('operator')) return problem(403, 'Not allowed', 'Aborting a run needs the role operator.')
    if (run.stop || Number(abort[1]) !== run.run) return problem(409, 'Refused', `run ${abort[1]} is not under way`, outcome('rejected', 'BAD_VALUE'))
    run = { ...run, stop: Date.now() - Date.parse(run.asked), error: `aborted by ${mock.role}${body.reason ? ': ' + body.reason : ''}` }
    return json(202, outcome('accepted', 'OK', 'it is being ended'))
  }
  if (!mock.mongo) return problem(503, 'The database is away', 'MongoDB does not answer: server selection timeout. The runs are kept on the disk of the sink until it is back.')
  if (path === '/configurations') return json(200, { configurations: ['hv-300', 'hv-down', 'room-fine'].map(name => ({ name })) })
  if (path === '/runs') {
    const list = [...runs.values()].sort((a, b) => b.run - a.run).filter(r => ['procedure', 'module', 'state'].every(k => !q.get(k) || r[k] === q.get(k)) && r.run < Number(q.get('before') ?? Infinity))
    return json(200, { runs: list.slice(0, Number(q.get('limit') ?? 50)).map(({ log, results, capsule, ...r }) => r) })
  }
  const one = /^\/runs\/(\d+)(?:\/files\/(.+))?$/.exec(path)
  const r = one && runs.get(Number(one[1]))
  if (one && !r) return problem(404, 'No such run', `There is no run ${one[1]}: the highest number is ${Math.max(...runs.keys())}.`)
  if (r && !one[2]) return json(200, { ...r, files: r.files?.map(({ path, body, ...f }) => ({ id: `${r.run}/${f.name}`, ...f })) })
  const file = r?.files?.find(f => f.name === one[2])
  if (!file) return problem(404, 'Not there', 'There is no such thing.')
  res.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Disposition': 'attachment' })
  res.end(file.body ?? readFileSync(file.path))
}).listen(Number(process.env.PORT ?? 8444), '127.0.0.1', function () { console.log(`http://127.0.0.1:${this.address().port}`) })
