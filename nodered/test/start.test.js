'use strict'

const assert = require('node:assert/strict')
const { execFileSync } = require('node:child_process')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { oldAddresses } = require('../lib/addresses.js')
const { brokerEnv, secret } = require('../lib/env.js')
const { write } = require('../lib/files.js')
const { keepLogin, open, seal } = require('../lib/login.js')

const root = path.join(__dirname, '..')

function folder (t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'nodered-test-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  return dir
}

test('flows.json is what build.js makes', () => {
  execFileSync(process.execPath, [path.join(root, 'flows', 'build.js'), '--check'])
})

test('the lock file names no registry', () => {
  for (const dir of [root, path.join(root, '..', 'e2e', 'nodered')]) {
    assert.doesNotMatch(fs.readFileSync(path.join(dir, 'package-lock.json'), 'utf8'), /"resolved": *"http/)
  }
})

test('DCS_BROKER becomes what the broker node reads', () => {
  const url = (DCS_BROKER) => brokerEnv({ DCS_BROKER }).DCS_MQTT_URL
  assert.equal(url(''), 'mqtt://127.0.0.1:1883')
  assert.equal(url('tcp://10.0.0.7:2883'), 'mqtt://10.0.0.7:2883')
  assert.equal(url('tcp://[::1]:2883'), 'mqtt://[::1]:2883')
  assert.equal(url('ssl://broker'), 'mqtts://broker:8883')
  assert.equal(url('wss://broker/mqtt'), 'wss://broker:443/mqtt')
  assert.throws(() => url('broker:1883'), /DCS_BROKER/)
  assert.throws(() => url('http://broker'), /DCS_BROKER/)
})

test('the prefix is /nodered when nothing is said', () => {
  const roots = (value) => {
    const env = { ...process.env, NODERED_HTTP_ROOT: value }
    const out = execFileSync(process.execPath, ['-p', 'const s = require("./settings.js"); [s.httpAdminRoot, s.httpNodeRoot].join()'], { cwd: root, env })
    return out.toString().trim()
  }
  assert.equal(roots(''), '/nodered,/nodered')
  assert.equal(roots('/'), '/,/')
})

test('secrets come from files', (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'password')
  fs.writeFileSync(file, 'open sesame\n')
  assert.equal(brokerEnv({ DCS_BROKER_PASSWORD_FILE: file }).DCS_MQTT_PASSWORD, 'open sesame')
  assert.throws(() => brokerEnv({ DCS_BROKER_PASSWORD_FILE: path.join(dir, 'none') }), /DCS_BROKER_PASSWORD_FILE/)
  assert.equal(secret({ NODERED_CREDENTIAL_SECRET_FILE: file }, dir), 'open sesame')
  const made = secret({}, dir)
  assert.match(made, /^[0-9a-f]{64}$/)
  assert.equal(secret({}, dir), made)
  const kept = path.join(dir, '.credential-secret')
  assert.equal(fs.statSync(kept).mode & 0o777, 0o600)
  fs.writeFileSync(kept, '')
  assert.match(secret({}, dir), /^[0-9a-f]{64}$/, 'an empty one is none')
})

test('a file is on the disk before it takes the place of the old one', (t) => {
  const dir = folder(t)
  const file = path.join(dir, 'flows.json')
  const done = []
  const open = new Map()
  const spy = (name, note) => {
    const real = fs[name]
    t.mock.method(fs, name, (...args) => {
      const got = real(...args)
      note(got, ...args)
      return got
    })
  }
  spy('openSync', (fd, name) => open.set(fd, path.basename(name)))
  spy('fsyncSync', (_, fd) => done.push(`sync ${open.get(fd)}`))
  spy('renameSync', () => done.push('rename'))
  write(file, 'one')
  assert.deepEqual(done, ['sync flows.json.new', 'rename', `sync ${path.basename(dir)}`])
  write(file, 'one')
  assert.equal(done.length, 3, 'the same is not written again')

  t.mock.method(fs, 'fsyncSync', () => { throw new Error('ENOSPC') })
  assert.throws(() => write(file, 'two'), /ENOSPC/)
  assert.deepEqual([fs.readFileSync(file, 'utf8'), fs.readdirSync(dir)], ['one', ['flows.json']])
})

test('everything is below the prefix, and old addresses lead there', () => {
  const to = (root, originalUrl, method = 'GET') => {
    let went = 'next'
    oldAddresses(root)({ method, originalUrl }, { redirect: (status, url) => { went = `${status} ${url}` } }, () => {})
    return went
  }
  for (const [old, now] of [
    ['/', '302 /nodered/'],
    ['/?a=b', '302 /nodered/?a=b'],
    ['/dashboard', '302 /nodered/dashboard'],
    ['/dashboard/power?x=1', '302 /nodered/dashboard/power?x=1'],
    ['/ui/', '302 /nodered/ui/'],
    ['/dashboards', 'next'],
    ['/nodered/none', 'next'],
    ['//elsewhere/dashboard', 'next'],
    ['/flows', 'next']
  ]) assert.equal(to('/nodered', old), now, old)
  assert.equal(to('nodered/', '/ui'), '302 /nodered/ui')
  assert.equal(to('/', '/ui'), 'next', 'no prefix: nothing has moved')
  assert.equal(to('/nodered', '/dashboard', 'POST'), 'next')
})

test('the broker node has a login only when there is one, and no secret is written', (t) => {
  const file = path.join(folder(t), 'flows_cred.json')
  const all = () => open(JSON.parse(fs.readFileSync(file, 'utf8')), 'key')

  keepLogin(file, 'key', false)
  assert.ok(!fs.existsSync(file))
  keepLogin(file, 'key', true)
  assert.deepEqual(all(), { 'dcs-broker': { user: '${DCS_MQTT_USER}', password: '${DCS_MQTT_PASSWORD}' } })

  fs.writeFileSync(file, JSON.stringify(seal({ ...all(), other: { token: 'x' } }, 'key')))
  keepLogin(file, 'key', false)
  assert.deepEqual(all(), { other: { token: 'x' } })

  fs.writeFileSync(file, JSON.stringify(seal({ 'dcs-broker': { user: 'typed' } }, 'key')))
  keepLogin(file, 'key', false)
  assert.equal(all()['dcs-broker'].user, 'typed')

  const before = fs.readFileSync(file)
  keepLogin(file, 'another key', true)
  assert.deepEqual(fs.readFileSync(file), before)
})
