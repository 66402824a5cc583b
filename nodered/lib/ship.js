'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { read, remove, write } = require('./files.js')
const { merge } = require('./merge.js')
const { fingerprint, split, title } = require('./units.js')

// Where the editor looks for flows to import: Import, Local, shipped.
const LIBRARY = path.join('lib', 'flows', 'shipped')
// What was installed, and what lies in the library.
const MARK = '.shipped-flows'

// ship brings the shipped flow into the user's folder and says what it did.
//
// The first start copies it. Later ones bring what is newer into the file that
// is there, tab by tab: see merge. What is not taken over is laid into the
// editor's library.
//
// Where flows are, what fails is said and nothing is thrown: Node-RED starts with them.
function ship (from, userDir) {
  const text = fs.readFileSync(path.join(from, 'flows.json'))
  const shipped = JSON.parse(text)
  const flows = path.join(userDir, 'flows.json')
  try {
    const there = read(flows)
    if (there !== null) return update(userDir, flows, there, shipped)
  } catch (err) {
    return `flows.json was left alone: ${err.message}`
  }
  write(flows, text)
  return `the shipped flow was installed${noted(userDir, prints(shipped), shipped, [], {})}`
}

function update (userDir, flows, there, shipped) {
  const mine = JSON.parse(there)
  if (!Array.isArray(mine)) throw new Error('not a list of nodes')
  const mark = readMark(userDir)
  const known = mark.units ?? guessed(mark.text, there, mine, shipped)
  const { nodes, marks, offered, did } = merge(mine, shipped, known)
  if (did.updated.length || did.added.length || did.removed.length) {
    write(path.join(userDir, 'flows.before-update.json'), there)
    write(flows, JSON.stringify(nodes, null, 4))
  }
  return said(did, new Map([...split(mine), ...split(shipped)])) + noted(userDir, marks, shipped, offered, mark.library)
}

const prints = (nodes) => Object.fromEntries([...split(nodes)].map(([id, unit]) => [id, [fingerprint(unit)]]))
const sha256 = (data) => crypto.createHash('sha256').update(data).digest('hex')
const isObject = (x) => Boolean(x) && typeof x === 'object' && !Array.isArray(x)

// readMark gives what was installed, unit id -> fingerprints, and what was laid
// into the library, name -> hash. An odd mark is none.
function readMark (userDir) {
  const mark = { text: '', units: null, library: {} }
  try {
    mark.text = String(read(path.join(userDir, MARK)) ?? '').trim()
    const { version, units, library } = JSON.parse(mark.text)
    if (version === 1 && isObject(units) && Object.values(units).every(Array.isArray)) mark.units = units
    if (version === 1 && isObject(library)) mark.library = library
  } catch { /* of another make, cut off, or not to be read */ }
  return mark
}

// guessed is for where nobody knows what was installed: nothing is put over
// what is there, and nothing is added to it.
function guessed (text, there, mine, shipped) {
  if (text === sha256(there)) return prints(mine) // as before units: the whole file
  return Object.fromEntries([...split(shipped).keys()].map((id) => [id, []]))
}

// noted writes the library and the mark. Without them Node-RED runs as well:
// that it could not be done is said.
function noted (userDir, units, shipped, offered, laid) {
  const failed = []
  const attempt = (what, f) => {
    try {
      return f()
    } catch (err) {
      failed.push(`; ${what} could not be written: ${err.message}`)
    }
  }
  const library = attempt('the library', () => offer(userDir, shipped, offered, laid)) ?? laid
  attempt(`the mark ${MARK}`, () => write(path.join(userDir, MARK), JSON.stringify({ version: 1, units, library }, null, 2) + '\n'))
  return failed.join('')
}

// offer lays units of the shipped flow into the library, and takes away what it
// laid there before. A file of somebody's own is left alone, whatever its name.
// It returns what is there of it now: name -> hash.
function offer (userDir, shipped, ids, laid) {
  const dir = path.join(userDir, LIBRARY)
  const units = split(shipped)
  const now = {}
  const state = (name, text) => {
    try {
      const there = read(path.join(dir, name))
      return there === null ? 'none' : sha256(there) === laid[name] || there.equals(Buffer.from(text)) ? 'ours' : 'theirs'
    } catch {
      return 'theirs' // a folder
    }
  }
  if (ids.length) fs.mkdirSync(dir, { recursive: true })
  for (const id of ids) {
    const text = JSON.stringify(units.get(id), null, 4)
    const base = title(id, units.get(id)).replace(/[^\w .()-]/g, '_')
    let name = `${base}.json`
    for (let i = 2; now[name] || state(name, text) === 'theirs'; i++) name = `${base} ${i}.json`
    write(path.join(dir, name), text)
    now[name] = sha256(text)
  }
  for (const name of Object.keys(laid)) {
    if (!now[name] && name === path.basename(name) && state(name, '') === 'ours') remove(path.join(dir, name))
  }
  return now
}

const WORDS = { updated: 'updated', added: 'added', removed: 'no longer shipped and removed', edited: 'edited here and kept', deleted: 'deleted here', held: 'not taken over, since nodes of it stand elsewhere here' }

function said (did, units) {
  const parts = Object.entries(WORDS).filter(([what]) => did[what].length)
    .map(([what, word]) => `${word}: ${did[what].map((id) => title(id, units.get(id))).join(', ')}`)
  if (!parts.length) return 'the flow is the shipped one'
  const library = did.edited.length || did.deleted.length || did.held.length ? '; the shipped ones can be imported from the library, Local, shipped' : ''
  return `shipped flow: ${parts.join('; ')}${library}`
}

module.exports = { ship }
