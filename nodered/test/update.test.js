// An update as people live it: Node-RED itself, a deploy, a newer shipped flow, a restart.
'use strict'

const assert = require('node:assert/strict')
const { spawn } = require('node:child_process')
const { once } = require('node:events')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { freePort } = require('./helper.js')

const root = path.join(__dirname, '..')
const PATIENCE = 180_000

// installation is this folder with a shipped flow of the test's own, and a user's folder.
function installation (t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'nodered-update-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  for (const name of ['start.js', 'settings.js', 'lib', 'static', 'package.json']) fs.cpSync(path.join(root, name), path.join(dir, name), { recursive: true })
  fs.symlinkSync(path.join(root, 'node_modules'), path.join(dir, 'node_modules'))
  return {
    user: path.join(dir, 'data'),
    ship: (nodes) => fs.writeFileSync(path.join(dir, 'flows.json'), JSON.stringify(nodes, null, 2)),
    // start runs where a flows.json lies, as in the image: the user's is the one that counts.
    async start () {
      const port = await freePort()
      const child = spawn(process.execPath, ['start.js'], {
        cwd: dir,
        env: { ...process.env, NODERED_PORT: String(port), NODERED_USER_DIR: path.join(dir, 'data'), DCS_BROKER: 'tcp://127.0.0.1:1', DCS_BROKER_USER: 'nodered' },
        stdio: ['ignore', 'pipe', 'pipe']
      })
      let log = ''
      for (const out of [child.stdout, child.stderr]) out.on('data', (d) => { log += d })
      const ended = once(child, 'exit')
      t.after(() => child.kill('SIGKILL'))
      const ask = async (what, options) => {
        const res = await fetch(`http://127.0.0.1:${port}/nodered/${what}`, { ...options, headers: { 'Node-RED-API-Version': 'v2', 'Content-Type': 'application/json' } })
        assert.ok(res.ok, `${what}: ${res.status}`)
        return res.json()
      }
      const until = Date.now() + PATIENCE
      while (!await ask('flows').then((f) => f.flows.length > 0, () => false)) {
        assert.ok(child.exitCode === null && Date.now() < until, log)
        await new Promise((resolve) => setTimeout(resolve, 100))
      }
      return { ask, log: () => log, stop: async () => { child.kill('SIGTERM'); assert.equal((await ended)[0], 0) } }
    }
  }
}

test('an update of a running installation brings what is new and leaves what is mine', { timeout: 3 * PATIENCE }, async (t) => {
  const shipped = JSON.parse(fs.readFileSync(path.join(root, 'flows.json')))
  const inst = installation(t)
  inst.ship(shipped)

  let red = await inst.start()
  const { flows, rev } = await red.ask('flows')
  assert.deepEqual(flows, shipped)
  const mine = [
    { id: 'mine', type: 'tab', label: 'My tab', disabled: false, info: 'ä' },
    { id: 'my-broker', type: 'mqtt-broker', name: 'elsewhere', broker: 'localhost', port: '1', autoConnect: false },
    { id: 'my-note', type: 'comment', z: 'mine', name: 'mine', info: '', x: 1, y: 2, wires: [] }
  ]
  const deployed = [
    ...flows.filter((n) => n.id !== 'dcs-tab-guard' && n.z !== 'dcs-tab-guard').map((n) => (n.id === 'dcs-hv' ? { ...n, name: 'My supply' } : n)),
    ...mine.map((n) => (n.id === 'my-broker' ? { ...n, credentials: { user: 'me', password: 'secret' } } : n))
  ]
  await red.ask('flows', { method: 'POST', body: JSON.stringify({ flows: deployed, rev }) })
  await red.stop()
  const before = fs.readFileSync(path.join(inst.user, 'flows_cred.json'), 'utf8')
  assert.doesNotMatch(before, /secret|"me"/)

  inst.ship([
    { id: 'dcs-new', type: 'tab', label: 'Newer tab', disabled: false, info: '' },
    ...shipped.map((n) => (n.type === 'function' ? { ...n, func: `// newer\n${n.func}` } : n.id === 'dcs-tab' ? { ...n, info: 'newer' } : n))
  ])
  red = await inst.start()
  const after = (await red.ask('flows')).flows
  const get = (id) => after.find((n) => n.id === id)
  for (const n of mine) assert.equal(JSON.stringify(get(n.id)), JSON.stringify(n), 'my own, byte for byte')
  assert.match(get('dcs-supply-command').func, /^\/\/ newer/, 'untouched: updated')
  assert.deepEqual([get('dcs-hv').name, get('dcs-tab').info === 'newer'], ['My supply', false], 'edited: kept')
  assert.equal(get('dcs-tab-guard'), undefined, 'deleted: stays so')
  assert.equal(get('dcs-new').label, 'Newer tab')
  assert.deepEqual(await red.ask('credentials/mqtt-broker/my-broker'), { user: 'me', has_password: true }, 'logins are there')
  assert.equal((await red.ask('credentials/mqtt-broker/dcs-broker')).user, '${DCS_MQTT_USER}')
  assert.equal(fs.readFileSync(path.join(inst.user, 'flows_cred.json'), 'utf8'), before)
  assert.match(red.log(), /updated: .*Power supply \(subflow\)/)

  const library = await red.ask('library/local/flows/shipped/')
  assert.deepEqual(library.map((f) => f.fn), ['Power (tab).json', 'Temperature guard (tab).json'])
  const power = await red.ask('library/local/flows/shipped/Power (tab).json')
  assert.equal(power.find((n) => n.id === 'dcs-tab').info, 'newer', 'the newer one can be imported')
  await red.stop()
})

test('it starts with what is there when nothing can be written and the mark is odd', { timeout: 2 * PATIENCE }, async (t) => {
  const inst = installation(t)
  inst.ship([{ id: 'dcs-new', type: 'tab', label: 'Newer tab', disabled: false, info: '' }])
  const mine = [{ id: 'mine', type: 'tab', label: 'My tab', disabled: false, info: '' }]
  fs.mkdirSync(inst.user)
  fs.writeFileSync(path.join(inst.user, 'flows.json'), JSON.stringify(mine))
  fs.writeFileSync(path.join(inst.user, '.shipped-flows'), '{"version":1,"units":null}')
  for (const name of ['.shipped-flows', 'flows_cred.json']) fs.mkdirSync(path.join(inst.user, `${name}.new`)) // in the way, as a full disk is
  fs.mkdirSync(path.join(inst.user, 'lib', 'flows'), { recursive: true })
  fs.writeFileSync(path.join(inst.user, 'lib', 'flows', 'shipped'), '')
  const red = await inst.start()
  assert.deepEqual((await red.ask('flows')).flows, mine)
  for (const what of [/deleted here: Newer tab/, /the library could not be written/, /the mark .shipped-flows could not be written/, /login was left as it is/]) assert.match(red.log(), what)
  await red.stop()
})
