'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { read, write } = require('./files.js')
const { merge } = require('./merge.js')
const { fingerprint, split, title } = require('./units.js')

// Where the editor looks for flows to import: Import, Local, shipped.
const LIBRARY = path.join('lib', 'flows', 'shipped')

// ship brings the shipped flow into the user's folder and says what it did.
//
// The first start copies it. Later ones bring what is newer into the file that
// is there, tab by tab: see merge. What is not taken over is laid into the
// editor's library.
function ship (from, userDir) {
  const text = fs.readFileSync(path.join(from, 'flows.json'))
  const shipped = JSON.parse(text)
  const flows = path.join(userDir, 'flows.json')
  const mark = path.join(userDir, '.shipped-flows')

  const there = read(flows)
  if (there === null) {
    write(flows, text)
    write(mark, marked(prints(shipped)))
    offer(userDir, shipped, [])
    return 'the shipped flow was installed'
  }
  let mine
  try {
    mine = JSON.parse(there)
    if (!Array.isArray(mine)) throw new Error('not a list of nodes')
  } catch (err) {
    return `flows.json was left alone: ${err.message}`
  }

  const known = knownOf(read(mark), there, mine, shipped)
  const { nodes, marks, offered, did } = merge(mine, shipped, known)
  if (did.updated.length || did.added.length || did.removed.length) {
    write(path.join(userDir, 'flows.before-update.json'), there)
    write(flows, JSON.stringify(nodes, null, 4))
  }
  write(mark, marked(marks))
  offer(userDir, shipped, offered)
  return said(did, new Map([...split(shipped), ...split(mine)]))
}

const prints = (nodes) => Object.fromEntries([...split(nodes)].map(([id, unit]) => [id, [fingerprint(unit)]]))
const marked = (units) => JSON.stringify({ version: 1, units }, null, 2) + '\n'

// knownOf reads what was installed. Where nobody knows, nothing is put over
// what is there, and nothing is added to it.
function knownOf (mark, there, mine, shipped) {
  const text = String(mark ?? '').trim()
  if (text === crypto.createHash('sha256').update(there).digest('hex')) return prints(mine) // as before units: the whole file
  try {
    const { version, units } = JSON.parse(text)
    if (version === 1) return units
  } catch { /* of another make, or cut off */ }
  return Object.fromEntries([...split(shipped).keys()].map((id) => [id, []]))
}

// offer lays units of the shipped flow into the library, and takes away the others.
function offer (userDir, shipped, ids) {
  const dir = path.join(userDir, LIBRARY)
  const units = split(shipped)
  const files = new Map(ids.map((id) => [title(id, units.get(id)).replace(/[^\w .()-]/g, '_') + '.json', units.get(id)]))
  if (ids.length) fs.mkdirSync(dir, { recursive: true })
  for (const name of fs.existsSync(dir) ? fs.readdirSync(dir) : []) {
    if (!files.has(name)) fs.rmSync(path.join(dir, name), { recursive: true })
  }
  for (const [name, nodes] of files) write(path.join(dir, name), JSON.stringify(nodes, null, 4))
}

const WORDS = { updated: 'updated', added: 'added', removed: 'no longer shipped and removed', edited: 'edited here and kept', deleted: 'deleted here' }

function said (did, units) {
  const parts = Object.entries(WORDS).filter(([what]) => did[what].length)
    .map(([what, word]) => `${word}: ${did[what].map((id) => title(id, units.get(id))).join(', ')}`)
  if (!parts.length) return 'the flow is the shipped one'
  const library = did.edited.length || did.deleted.length ? '; the shipped ones can be imported from the library, Local, shipped' : ''
  return `shipped flow: ${parts.join('; ')}${library}`
}

module.exports = { ship }
