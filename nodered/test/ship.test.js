// What an update does to a flow file that people have worked on.
'use strict'

const assert = require('node:assert/strict')
const crypto = require('node:crypto')
const fs = require('node:fs')
const os = require('node:os')
const path = require('node:path')
const { test } = require('node:test')
const { ship } = require('../lib/ship.js')

const tab = (id, say, more = []) => [
  { id, type: 'tab', label: id.toUpperCase() },
  { id: `${id}-node`, type: 'function', z: id, name: say, wires: [[]] },
  ...more
]
const config = (id, say) => ({ id, type: 'ui-group', name: say })
const own = [
  { id: 'own', type: 'tab', label: 'Mine', info: 'ä €', x: 1.5, '7': 'odd' },
  { id: 'own-sub', type: 'subflow', name: 'My subflow' },
  { id: 'own-in', type: 'inject', z: 'own-sub' },
  { z: 'own', id: 'own-node', type: 'subflow:own-sub', wires: [] },
  { id: 'own-conf', type: 'mqtt-broker', name: 'elsewhere' }
]

// site is a user's folder, and versions of the shipped flow.
function site (t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'nodered-ship-'))
  t.after(() => fs.rmSync(dir, { recursive: true }))
  const from = path.join(dir, 'from')
  const user = path.join(dir, 'user')
  fs.mkdirSync(from)
  fs.mkdirSync(user)
  const flows = path.join(user, 'flows.json')
  const library = path.join(user, 'lib', 'flows', 'shipped')
  return {
    flows,
    mark: path.join(user, '.shipped-flows'),
    user,
    start: (...units) => {
      fs.writeFileSync(path.join(from, 'flows.json'), JSON.stringify(units.flat(), null, 2))
      return ship(from, user)
    },
    text: () => fs.readFileSync(flows, 'utf8'),
    nodes: () => JSON.parse(fs.readFileSync(flows, 'utf8')),
    // deploy writes as Node-RED does, with the editor's own order of nodes and keys.
    deploy: (change) => {
      const nodes = change(JSON.parse(fs.readFileSync(flows, 'utf8')))
      const shuffled = [...nodes].reverse().map((n) => Object.fromEntries(Object.entries(n).reverse()))
      fs.writeFileSync(flows, JSON.stringify(shuffled, null, 4))
    },
    name: (id) => JSON.parse(fs.readFileSync(flows, 'utf8')).find((n) => n.id === `${id}-node`)?.name,
    offered: () => fs.existsSync(library) ? fs.readdirSync(library).sort() : [],
    inLibrary: (name) => JSON.parse(fs.readFileSync(path.join(library, name), 'utf8'))
  }
}
const edit = (id, name) => (nodes) => nodes.map((n) => (n.id === `${id}-node` ? { ...n, name } : n))
const drop = (id) => (nodes) => nodes.filter((n) => n.id !== id && n.z !== id)
const unique = (s) => assert.equal(new Set(s.nodes().map((n) => n.id)).size, s.nodes().length, 'each node id once')
const add = (more) => (nodes) => [...nodes, ...more]

test('the first start installs the shipped flow as it is', (t) => {
  const s = site(t)
  assert.match(s.start(tab('a', '1')), /installed/)
  assert.deepEqual(s.nodes(), tab('a', '1'))
  assert.match(s.start(tab('a', '1')), /is the shipped one/)
})

test('an untouched tab is replaced by the newer one, though the editor has written it in another order', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  s.deploy((nodes) => nodes)
  assert.match(s.start(tab('a', '2'), tab('b', '1')), /updated: A \(tab\)/)
  assert.deepEqual([s.name('a'), s.name('b')], ['2', '1'])
  assert.ok(fs.existsSync(path.join(s.user, 'flows.before-update.json')))
  assert.deepEqual(s.offered(), [])
})

test('an edited tab is kept, the newer one is laid into the library, and the tab next to it is updated', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  s.deploy(edit('a', 'mine'))
  const said = s.start(tab('a', '2'), tab('b', '2'))
  assert.match(said, /updated: B \(tab\)/)
  assert.match(said, /edited here and kept: A \(tab\)/)
  assert.match(said, /library, Local, shipped/)
  assert.deepEqual([s.name('a'), s.name('b')], ['mine', '2'])
  assert.deepEqual(s.offered(), ['A (tab).json'])
  assert.deepEqual(s.inLibrary('A (tab).json'), tab('a', '2'))

  s.start(tab('a', '3'), tab('b', '3'))
  assert.deepEqual([s.name('a'), s.name('b')], ['mine', '3'], 'and again')

  s.deploy(edit('a', '3')) // imported by hand
  s.start(tab('a', '4'), tab('b', '3'))
  assert.equal(s.name('a'), '4', 'as shipped: updated from here on')
  assert.deepEqual(s.offered(), [])
})

test('a node of one\'s own on a shipped tab is an edit of it', (t) => {
  const s = site(t)
  s.start(tab('a', '1'))
  s.deploy(add([{ id: 'x', type: 'debug', z: 'a' }]))
  s.start(tab('a', '2'))
  assert.equal(s.name('a'), '1')
  assert.ok(s.nodes().some((n) => n.id === 'x'))
})

test('one\'s own tabs, subflows and configuration nodes stay byte for byte', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), config('g', '1'))
  s.deploy(add(own))
  const before = s.text()
  s.start(tab('a', '1'), config('g', '1'))
  assert.equal(s.text(), before, 'nothing newer: not written at all')
  s.start(tab('a', '2'), config('g', '2'), tab('b', '1'))
  for (const { id } of own) {
    const of = (text) => JSON.stringify(JSON.parse(text).find((n) => n.id === id))
    assert.equal(of(s.text()), of(before), id)
  }
  assert.deepEqual(s.nodes().map((n) => n.id).filter((id) => id.startsWith('own')), JSON.parse(before).map((n) => n.id).filter((id) => id.startsWith('own')))
})

test('a new shipped tab is added; what else is shipped stays where it stands', (t) => {
  const s = site(t)
  s.start(tab('a', '1'))
  s.deploy(add(own))
  assert.match(s.start(tab('b', '1'), tab('a', '1')), /added: B \(tab\)/)
  assert.equal(s.name('b'), '1')
  assert.equal(s.nodes().at(-1).id, 'b-node')
})

test('a shipped tab that was deleted stays deleted, and can be had from the library', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  s.deploy(drop('b'))
  for (const version of ['1', '2', '3']) {
    assert.match(s.start(tab('a', version), tab('b', version)), /deleted here: B \(tab\)/)
    assert.equal(s.name('b'), undefined)
  }
  assert.deepEqual(s.inLibrary('B (tab).json'), tab('b', '3'))
  s.deploy(add(tab('b', '3')))
  s.start(tab('a', '3'), tab('b', '4'))
  assert.equal(s.name('b'), '4', 'imported again: updated again')
})

test('an edited tab that is deleted later stays deleted', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  s.deploy(edit('b', 'mine'))
  s.start(tab('a', '2'), tab('b', '2'))
  s.deploy(drop('b'))
  s.start(tab('a', '3'), tab('b', '3'))
  assert.equal(s.name('b'), undefined)
})

test('what was deleted comes back when a newer shipped tab cannot do without', (t) => {
  const s = site(t)
  const sub = (say) => [{ id: 'sub', type: 'subflow', name: 'Sub' }, { id: 'sub-node', type: 'function', z: 'sub', name: say, group: 'g' }]
  s.start(tab('a', '1'), sub('1'), config('g', '1'))
  s.deploy((nodes) => drop('g')(drop('sub')(nodes)))
  s.start(tab('a', '1'), sub('1'), config('g', '1'))
  assert.deepEqual(s.nodes().map((n) => n.id).sort(), ['a', 'a-node'])
  s.start(tab('a', '2', [{ id: 'a-sub', type: 'subflow:sub', z: 'a' }]), sub('2'), config('g', '2'))
  assert.equal(s.name('sub'), '2')
  assert.ok(s.nodes().some((n) => n.id === 'g'), 'and what that needs')
})

test('what is no longer shipped goes when it is untouched and nothing needs it', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'), tab('c', '1'), config('used', '1'), config('free', '1'))
  s.deploy((nodes) => edit('c', 'mine')([...nodes, { id: 'x', type: 'ui-text', z: 'own', group: 'used' }]))
  assert.match(s.start(tab('a', '1')), /no longer shipped and removed: .*B \(tab\)/)
  assert.deepEqual([s.name('a'), s.name('b'), s.name('c')], ['1', undefined, 'mine'])
  assert.deepEqual(s.nodes().filter((n) => n.type === 'ui-group').map((n) => n.id), ['used'])
  s.deploy((nodes) => nodes.filter((n) => n.id !== 'x'))
  s.start(tab('a', '1'))
  assert.deepEqual(s.nodes().filter((n) => n.type === 'ui-group'), [], 'nothing needs it any more')
  assert.equal(s.name('c'), 'mine')
})

test('the mark of a version before: an untouched file is updated, an edited one is left', (t) => {
  const s = site(t)
  const old = (nodes) => {
    fs.writeFileSync(s.flows, JSON.stringify(nodes))
    fs.writeFileSync(s.mark, crypto.createHash('sha256').update(s.text()).digest('hex'))
  }
  old(tab('a', '1'))
  s.start(tab('a', '2'), tab('b', '2'))
  assert.deepEqual([s.name('a'), s.name('b')], ['2', '2'])

  old(tab('a', '1'))
  s.deploy(edit('a', 'mine'))
  s.start(tab('a', '2'), tab('b', '2'))
  assert.deepEqual([s.name('a'), s.name('b')], ['mine', undefined])
  assert.deepEqual(s.offered(), ['A (tab).json', 'B (tab).json'])
})

test('flows that came from elsewhere are left alone, and the shipped ones offered', (t) => {
  const s = site(t)
  fs.writeFileSync(s.flows, JSON.stringify(own))
  s.start(tab('a', '1'))
  assert.deepEqual(s.nodes(), own)
  assert.deepEqual(s.offered(), ['A (tab).json'])
})

test('a file that cannot be read as flows is left alone', (t) => {
  const s = site(t)
  for (const text of ['[{"id"', '{}', '']) {
    fs.writeFileSync(s.flows, text)
    assert.match(s.start(tab('a', '1')), /left alone/)
    assert.equal(s.text(), text)
  }
})

test('logins in flows_cred.json and what else is in the folder are not touched', (t) => {
  const s = site(t)
  s.start(tab('a', '1'))
  for (const name of ['flows_cred.json', '.config.runtime.json']) fs.writeFileSync(path.join(s.user, name), 'as it was')
  s.start(tab('a', '2'))
  for (const name of ['flows_cred.json', '.config.runtime.json']) assert.equal(fs.readFileSync(path.join(s.user, name), 'utf8'), 'as it was')
})

test('a broker node that was scoped to a tab of one\'s own is an edit, and does not come twice', (t) => {
  const s = site(t)
  const bus = (address) => ({ id: 'bus', type: 'mqtt-broker', broker: address })
  const sub = (say) => [{ id: 'sub', type: 'subflow', name: 'Sub' }, { id: 'sub-node', type: 'mqtt out', z: 'sub', name: say, broker: 'bus' }]
  s.start(sub('1'), bus('shipped'))
  s.deploy((nodes) => [...nodes.map((n) => (n.id === 'bus' ? { ...n, z: 'own', broker: 'mine' } : n)), ...own])
  for (const version of ['2', '3']) {
    assert.match(s.start(sub(version), bus('shipped')), /edited here and kept: bus \(mqtt-broker\)/)
    assert.equal(s.name('sub'), version)
    assert.deepEqual(s.nodes().filter((n) => n.id === 'bus').map((n) => n.broker), ['mine'])
    unique(s)
    assert.deepEqual(s.offered(), ['bus (mqtt-broker).json'])
  }
  s.deploy(drop('bus'))
  s.start(sub('4'), bus('shipped'))
  assert.deepEqual(s.nodes().filter((n) => n.id === 'bus').map((n) => n.broker), ['shipped'], 'deleted and needed: restored')
})

test('a node that is shipped on another tab is not put while an edited one holds it', (t) => {
  const s = site(t)
  const moved = (z) => [{ id: 'moved', type: 'function', z }]
  s.start(tab('a', '1', moved('a')), tab('b', '1'))
  s.deploy(edit('a', 'mine'))
  const later = [tab('a', '2'), tab('b', '2', moved('b')), tab('c', '2', [{ id: 'c-moved', type: 'function', z: 'c' }])]
  for (const times of ['once', 'and again']) {
    assert.match(s.start(...later), /not taken over, since nodes of it stand elsewhere here: B \(tab\)/)
    assert.deepEqual([s.name('a'), s.name('b'), s.name('c')], ['mine', '1', '2'], times)
    assert.deepEqual(s.offered(), ['A (tab).json', 'B (tab).json'])
    unique(s)
  }
  s.deploy((nodes) => [...drop('a')(nodes), ...later[0]]) // imported from the library
  s.start(...later)
  assert.deepEqual([s.name('a'), s.name('b')], ['2', '2'], 'free again: updated')
  assert.equal(s.nodes().find((n) => n.id === 'moved').z, 'b')
  assert.deepEqual(s.offered(), [])
  unique(s)
})

test('a new unit that would bring a node twice is held back with all that needs it, and comes once it can', (t) => {
  const s = site(t)
  s.start(tab('a', '1'))
  s.deploy(add([...own, { id: 'sub-node', type: 'function', z: 'own' }]))
  const sub = [{ id: 'sub', type: 'subflow', name: 'Sub' }, { id: 'sub-node', type: 'function', z: 'sub', name: '2' }]
  const later = [tab('a', '2', [{ id: 'a-sub', type: 'subflow:sub', z: 'a' }]), sub]
  s.start(...later)
  assert.deepEqual([s.name('a'), s.nodes().some((n) => n.id === 'sub')], ['1', false])
  assert.deepEqual(s.offered(), ['A (tab).json', 'Sub (subflow).json'])
  unique(s)
  s.deploy((nodes) => nodes.filter((n) => n.id !== 'sub-node'))
  s.start(...later)
  assert.deepEqual([s.name('a'), s.name('sub')], ['2', '2'])
})

test('a node may move between a tab and the configuration nodes, as long as nobody has edited them', (t) => {
  const s = site(t)
  const user = tab('a', '1', [{ id: 'a-out', type: 'mqtt out', z: 'a', broker: 'g' }])
  s.start(user, config('g', '1'))
  s.start(user.concat({ ...config('g', '2'), z: 'a' }))
  assert.deepEqual(s.nodes().filter((n) => n.id === 'g').map((n) => [n.name, n.z]), [['2', 'a']])
  s.start(user, config('g', '3'))
  assert.deepEqual(s.nodes().filter((n) => n.id === 'g').map((n) => [n.name, n.z]), [['3', undefined]])
})

test('what people keep in the library stays, whatever its name', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  const library = path.join(s.user, 'lib', 'flows', 'shipped')
  const put = (name, text) => { fs.mkdirSync(path.dirname(path.join(library, name)), { recursive: true }); fs.writeFileSync(path.join(library, name), text) }
  put('my own.json', 'mine')
  put('folder/deep.json', 'mine')
  put('A (tab).json', 'mine')
  s.deploy((nodes) => edit('a', 'mine')(edit('b', 'mine')(nodes)))
  s.start(tab('a', '2'), tab('b', '2'))
  s.start(tab('a', '3'), tab('b', '3'))
  assert.deepEqual(s.offered(), ['A (tab) 2.json', 'A (tab).json', 'B (tab).json', 'folder', 'my own.json'])
  assert.deepEqual(s.inLibrary('A (tab) 2.json'), tab('a', '3'))

  put('B (tab).json', 'saved under the name of ours')
  s.deploy((nodes) => edit('a', '3')(edit('b', '3')(nodes)))
  s.start(tab('a', '3'), tab('b', '3'))
  assert.deepEqual(s.offered(), ['A (tab).json', 'B (tab).json', 'folder', 'my own.json'])
  for (const name of ['A (tab).json', 'my own.json', 'folder/deep.json']) assert.equal(fs.readFileSync(path.join(library, name), 'utf8'), 'mine')
})

test('a mark that is odd is none: nothing is put over what is there', (t) => {
  const s = site(t)
  const odd = ['', '{', 'null', '7', '{"version":1}', '{"version":1,"units":null}', '{"version":1,"units":[]}', '{"version":1,"units":{"a":"x"}}', '{"version":2,"units":{"a":[]}}']
  for (const text of odd) {
    s.start(tab('a', '1'))
    fs.writeFileSync(s.mark, text)
    assert.match(s.start(tab('a', '2')), /edited here and kept: A/, text)
    assert.equal(s.name('a'), '1')
    fs.rmSync(s.user, { recursive: true })
    fs.mkdirSync(s.user)
  }
  s.start(tab('a', '1'))
  fs.rmSync(s.mark)
  fs.mkdirSync(s.mark)
  assert.match(s.start(tab('a', '1')), /the mark .shipped-flows could not be written/)
})

test('nothing is written when nothing is new', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  s.deploy(edit('a', 'mine'))
  s.start(tab('a', '2'), tab('b', '2'))
  const synced = t.mock.method(fs, 'fsyncSync')
  s.start(tab('a', '2'), tab('b', '2'))
  assert.equal(synced.mock.callCount(), 0)
})

test('on a full disk the flows stay as they are, and it is said', (t) => {
  const s = site(t)
  s.start(tab('a', '1'), tab('b', '1'))
  s.deploy(edit('a', 'mine'))
  const before = [s.text(), fs.readFileSync(s.mark, 'utf8')]
  const full = t.mock.method(fs, 'fsyncSync', () => { throw new Error('ENOSPC: no space left') })
  assert.match(s.start(tab('a', '2'), tab('b', '2')), /flows.json was left alone: ENOSPC/)
  assert.match(s.start(tab('a', '2'), tab('b', '1')), /edited here and kept: A.*; the library could not be written: ENOSPC.*; the mark .shipped-flows could not be written: ENOSPC/)
  assert.deepEqual([s.text(), fs.readFileSync(s.mark, 'utf8')], before)
  full.mock.restore()
  s.start(tab('a', '2'), tab('b', '2'))
  assert.deepEqual([s.name('a'), s.name('b'), s.offered().length], ['mine', '2', 1], 'made up for later')
})
