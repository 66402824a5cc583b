// The gate: at a server of the test's own, and at Node-RED as start.js starts it.
'use strict'

const assert = require('node:assert/strict')
const { spawn, spawnSync } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const http = require('node:http')
const net = require('node:net')
const os = require('node:os')
const path = require('node:path')
const { before, test } = require('node:test')
const WebSocket = require('ws')
const { gateSecret, installGate } = require('../lib/gate.js')
const { freePort } = require('./helper.js')

const root = path.join(__dirname, '..')
const PATIENCE = 180_000
const SECRET = 'open-sesame'
const shown = { 'X-DCS-Gateway': SECRET }

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'nodered-gate-'))
test.after(() => fs.rmSync(dir, { recursive: true }))

function file (content) {
  const name = path.join(dir, `secret-${Buffer.from(content).toString('hex')}`)
  fs.writeFileSync(name, content)
  return name
}

// ask gives [status, body, headers]; the status is 0 when the connection was cut.
function ask (port, url, { method = 'GET', headers = {}, body = '', localAddress } = {}) {
  return new Promise((resolve) => {
    const req = http.request({ host: '127.0.0.1', port, path: url, method, headers, localAddress, agent: false }, (res) => {
      let text = ''
      res.setEncoding('utf8').on('data', (d) => { text += d }).on('end', () => resolve([res.statusCode, text, res.headers]))
    })
    req.on('error', () => resolve([0, '', {}]))
    req.end(body)
  })
}

// upgrade tells what became of a WebSocket: its first message, 'open' or 'refused'.
function upgrade (port, url, headers, hears = false) {
  return new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${url}`, { headers })
    const end = (what) => { resolve(what); socket.terminate() }
    if (hears) socket.on('message', (m) => end(String(m)))
    else socket.on('open', () => end('open'))
    socket.on('error', () => resolve('refused'))
  })
}

let early
before(() => {
  early = http.createServer((req, res) => res.end('early'))
  installGate({ NODERED_GATEWAY_SECRET_FILE: file(SECRET + '\n') })
})

async function listen (t, server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close(); server.closeAllConnections() })
  return server.address().port
}

test('every server of the process is closed, whenever it was made', async (t) => {
  for (const server of [early, new http.Server((req, res) => res.end('late')), http.createServer().on('request', (req, res) => res.end('on'))]) {
    const port = await listen(t, server)
    const [status, text, headers] = await ask(port, '/nodered/flows')
    assert.deepEqual([status, headers['content-type'], headers.connection], [403, 'text/plain; charset=utf-8', 'close'])
    assert.match(text, /come through the gateway/)
    assert.equal((await ask(port, '/nodered/flows', { headers: shown }))[0], 200)
  }
})

test('only the one secret opens', async (t) => {
  const port = await listen(t, http.createServer((req, res) => res.end(JSON.stringify([req.headers, req.rawHeaders, req.headersDistinct]))))
  for (const value of ['', 'x', SECRET + 'x', SECRET.slice(1), SECRET.toUpperCase(), [SECRET, SECRET], ['x', SECRET]]) {
    const [status, text] = await ask(port, '/nodered/', { headers: { 'X-DCS-Gateway': value } })
    assert.equal(status, 403, String(value))
    assert.match(text, /another secret/)
  }
  for (const url of ['/nodered/flows', '/']) {
    const [status, text] = await ask(port, url, { headers: { ...shown, 'X-Other': 'stays' } })
    assert.equal(status, 200)
    assert.doesNotMatch(text, new RegExp(`${SECRET}|x-dcs-gateway`, 'i'), 'no flow sees it')
    assert.match(text, /stays/)
  }
})

test('the health check reads the first page from within, and nothing else is exempt', async (t) => {
  const port = await listen(t, http.createServer((req, res) => res.end()))
  assert.equal((await ask(port, '/nodered/'))[0], 200)
  for (const [url, options] of [
    ['/nodered/', { method: 'POST' }], ['/nodered/', { method: 'HEAD' }], ['/nodered/', { method: 'OPTIONS' }],
    ['/nodered/flows', {}], ['/nodered/?x', {}], ['/', {}], ['/nodered/../nodered/', {}], ['//nodered/', {}], ['http://127.0.0.1/nodered/', {}],
    ['/nodered/dashboard/socket.io/?EIO=4&transport=polling', {}]
  ]) assert.equal((await ask(port, url, options))[0], 403, `${options.method} ${url}`)
  const beside = { localAddress: '127.0.0.3', headers: { 'X-Forwarded-For': '127.0.0.1' } }
  assert.equal((await ask(port, '/nodered/', beside))[0], 403, 'who asks from elsewhere, whatever it claims')
})

test('upgrades need the secret, from everywhere', async (t) => {
  const server = http.createServer((req, res) => res.end())
  const sockets = new WebSocket.Server({ server })
  t.after(() => sockets.close())
  const port = await listen(t, server)
  for (const url of ['/comms', '/nodered/']) {
    assert.equal(await upgrade(port, url, {}), 'refused')
    assert.equal(await upgrade(port, url, { 'X-DCS-Gateway': 'x' }), 'refused')
    assert.equal(await upgrade(port, url, shown), 'open')
  }
  const plain = http.createServer((req, res) => res.end()) // takes no upgrade: it is a request then
  const other = await listen(t, plain)
  assert.equal((await ask(other, '/nodered/flows', { headers: { Connection: 'Upgrade', Upgrade: 'websocket' } }))[0], 403)
  plain.on('connect', (req, socket) => socket.end('HTTP/1.1 200 OK\r\n\r\n'))
  assert.equal((await ask(other, 'x:1', { method: 'CONNECT' }))[0], 0)
  plain.on('checkContinue', (req, res) => { res.writeContinue(); plain.emit('request', req, res) })
  const expect = { method: 'POST', body: 'x' }
  assert.equal((await ask(other, '/', { ...expect, headers: { Expect: '100-continue' } }))[0], 403)
  assert.equal((await ask(other, '/', { ...expect, headers: { ...shown, Expect: '100-continue' } }))[0], 200)
})

test('each request of a connection is looked at', async (t) => {
  const port = await listen(t, http.createServer((req, res) => res.end()))
  const socket = net.connect(port, '127.0.0.1')
  let heard = ''
  socket.setEncoding('latin1').on('data', (d) => { heard += d })
  socket.write(`GET /a HTTP/1.1\r\nHost: x\r\nX-DCS-Gateway: ${SECRET}\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n`)
  await once(socket, 'close')
  assert.deepEqual(heard.match(/HTTP\/1.1 \d+/g), ['HTTP/1.1 200', 'HTTP/1.1 403'])
})

test('a secret that cannot be used is named', () => {
  assert.equal(gateSecret({}), '')
  const bad = (name, complaint) => {
    assert.throws(() => gateSecret({ NODERED_GATEWAY_SECRET_FILE: name }), complaint)
    const { status, stderr } = spawnSync(process.execPath, ['start.js'], {
      cwd: root, env: { ...process.env, NODERED_USER_DIR: path.join(dir, 'none'), NODERED_GATEWAY_SECRET_FILE: name }
    })
    assert.equal(status, 2)
    assert.match(String(stderr), complaint)
    assert.ok(!fs.existsSync(path.join(dir, 'none')), 'nothing was begun')
  }
  bad(path.join(dir, 'nowhere'), /NODERED_GATEWAY_SECRET_FILE: ENOENT.*nowhere/)
  bad(file(' \n'), /NODERED_GATEWAY_SECRET_FILE: .* is empty: put the secret into it that the gateway has in DCS_NODERED_SECRET_FILE/)
  bad(file('open\nsesame'), /NODERED_GATEWAY_SECRET_FILE: .*one line/)
})

test('Node-RED answers the gateway alone', { timeout: 2 * PATIENCE }, async (t) => {
  const port = await freePort()
  const user = path.join(dir, 'user')
  fs.mkdirSync(user)
  // The old dashboard is there once a flow has a node of its, and http in stands for any route.
  fs.writeFileSync(path.join(user, 'own.json'), JSON.stringify([
    { id: 'tab', type: 'tab', label: 'x' },
    { id: 'base', type: 'ui-base', name: 'x', path: '/dashboard' },
    { id: 'in', type: 'http in', z: 'tab', url: '/heads', method: 'get', wires: [['f']] },
    { id: 'f', type: 'function', z: 'tab', func: 'msg.payload = msg.req.headers; return msg', outputs: 1, wires: [['out']] },
    { id: 'out', type: 'http response', z: 'tab', wires: [] },
    { id: 'ws', type: 'websocket-listener', path: '/talk', wholemsg: 'false' },
    { id: 'win', type: 'websocket in', z: 'tab', server: 'ws', wires: [[]] },
    { id: 'oldtab', type: 'ui_tab', name: 'x' },
    { id: 'group', type: 'ui_group', name: 'x', tab: 'oldtab' },
    { id: 'text', type: 'ui_text', z: 'tab', group: 'group', wires: [] }
  ]))
  const child = spawn(process.execPath, ['start.js'], {
    cwd: root,
    env: { ...process.env, NODERED_PORT: String(port), NODERED_USER_DIR: user, NODERED_FLOW_FILE: 'own.json', NODERED_GATEWAY_SECRET_FILE: file(SECRET), DCS_BROKER: 'tcp://127.0.0.1:1' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let log = ''
  for (const out of [child.stdout, child.stderr]) out.on('data', (d) => { log += d })
  const ended = once(child, 'exit')
  t.after(() => child.kill('SIGKILL'))
  const until = Date.now() + PATIENCE
  while ((await ask(port, '/nodered/heads', { headers: shown }))[0] !== 200) {
    assert.ok(child.exitCode === null && Date.now() < until, log)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }

  for (const url of ['/nodered/flows', '/nodered/settings', '/nodered/red/red.min.js', '/nodered/heads', '/nodered/ui/', '/nodered/dashboard/', '/nodered/dashboard/_setup',
    '/nodered/dashboard/socket.io/?EIO=4&transport=polling', '/nodered/ui/socket.io/?EIO=4&transport=polling']) {
    assert.equal((await ask(port, url))[0], 403, url)
    const [status, text] = await ask(port, url, { headers: shown })
    assert.equal(status, 200, `${url}: ${text}`)
    assert.ok(!text.includes(SECRET), url)
  }
  assert.equal((await ask(port, '/'))[0], 403, 'where old addresses lead is for the gateway too')
  const deploy = { method: 'POST', body: '[]', headers: { 'Content-Type': 'application/json' } }
  assert.equal((await ask(port, '/nodered/flows', deploy))[0], 403)
  assert.equal(JSON.parse((await ask(port, '/nodered/flows', { headers: shown }))[1]).length, 10, 'nothing was deployed')
  assert.equal((await ask(port, '/nodered/'))[0], 200, 'the health check')

  for (const [url, hears] of [['/nodered/comms', false], ['/nodered/talk', false],
    ['/nodered/dashboard/socket.io/?EIO=4&transport=websocket', true], ['/nodered/ui/socket.io/?EIO=4&transport=websocket', true]]) {
    assert.equal(await upgrade(port, url, {}), 'refused', url)
    assert.equal(await upgrade(port, url, { 'X-DCS-Gateway': 'x' }), 'refused', url)
    assert.match(await upgrade(port, url, shown, hears), hears ? /^0\{"sid"/ : /^open$/, url)
  }
  child.kill('SIGTERM')
  assert.equal((await ended)[0], 0, log)
})
