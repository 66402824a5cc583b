// Brings a newer shipped flow into a flow file that people have worked on.
'use strict'

const { fingerprint, mentions, split, unitOf } = require('./units.js')

const VERSIONS = 50 // of a unit that are remembered

// merge takes the nodes that are there, the nodes that are shipped now, and what
// is known of the shipped units: id -> fingerprints of the versions that came here.
//
//   untouched                 replaced by the newer one
//   edited                    kept; the newer one is offered
//   deleted                   stays deleted, unless a newer shipped unit needs it
//   new                       added
//   no longer shipped         goes when it is untouched and nothing needs it
//   of one's own              kept as it is
//
// A node id is in the result once: what would bring one that stands elsewhere in
// what is kept (a node that was scoped to another tab, or that is shipped on
// another one now) is held back and offered.
//
// It returns the nodes, what is known now, the ids that are offered, and what was
// done: {updated, added, removed, edited, deleted, held}, lists of ids.
function merge (mine, shipped, known) {
  const ship = split(shipped)
  for (const held = new Set(); ;) { // grows: what is kept instead may clash too
    const { put, marks, did } = choose(mine, ship, known, held)
    const nodes = written(mine, put)
    retire(nodes, ship, known, marks, did)
    const clash = clashes(nodes, put, held)
    if (!clash.length) return { nodes, marks, did, offered: [...did.edited, ...did.deleted, ...did.held] }
    for (const id of clash) held.add(id)
  }
}

// choose says what is put of the shipped units: id -> nodes.
function choose (mine, ship, known, held) {
  const have = split(mine)
  const ids = new Set(mine.map((n) => n.id))
  const marks = {}
  const put = new Map()
  const did = { updated: [], added: [], removed: [], edited: [], deleted: [], held: [] }

  for (const [id, nodes] of ship) {
    const print = fingerprint(nodes)
    const came = known[id] ?? []
    if (held.has(id)) {
      did.held.push(id)
      if (known[id]) marks[id] = came
      continue
    }
    marks[id] = [...came.filter((p) => p !== print), print].slice(-VERSIONS)
    if (!have.has(id)) {
      if (!known[id]) put.set(id, nodes)
      did[!known[id] ? 'added' : ids.has(id) ? 'edited' : 'deleted'].push(id) // edited: moved to another tab
      continue
    }
    const now = fingerprint(have.get(id))
    if (now === print) continue
    if (came.includes(now)) put.set(id, nodes)
    did[came.includes(now) ? 'updated' : 'edited'].push(id)
  }
  restore(put, ship, did)
  return { put, marks, did }
}

// clashes are the units that must not be put: one of their nodes is in the file
// already, or they need one that is held and not there.
function clashes (nodes, put, held) {
  const kept = new Set(nodes.filter((n) => !put.has(unitOf(n))).map((n) => n.id))
  const ids = new Set(nodes.map((n) => n.id))
  const missing = new Set([...held].filter((id) => !ids.has(id)))
  return [...put].filter(([, unit]) => unit.some((n) => kept.has(n.id)) || mentions(unit, missing).size).map(([id]) => id)
}

// restore brings back what was deleted here and a newer shipped unit cannot do without.
function restore (put, ship, did) {
  for (const nodes of put.values()) { // grows while it is walked
    for (const id of mentions(nodes, new Set(did.deleted))) {
      did.deleted.splice(did.deleted.indexOf(id), 1)
      did.added.push(id)
      put.set(id, ship.get(id))
    }
  }
}

// written is the file with some units replaced where they stand, and new ones at its end.
function written (mine, put) {
  const left = new Map(put)
  const nodes = []
  for (const node of mine) {
    const id = unitOf(node)
    if (!put.has(id)) nodes.push(node)
    else if (left.has(id)) {
      nodes.push(...left.get(id))
      left.delete(id)
    }
  }
  for (const unit of left.values()) nodes.push(...unit)
  return nodes
}

// retire takes out of the nodes what is no longer shipped. What is still needed
// stays, and is looked at again next time.
function retire (nodes, ship, known, marks, did) {
  const old = new Map([...split(nodes)].filter(([id, unit]) => !ship.has(id) && known[id]?.includes(fingerprint(unit))))
  for (let again = true; again;) {
    again = false
    for (const id of old.keys()) {
      const others = nodes.filter((n) => unitOf(n) !== id)
      if (mentions(others, new Set([id])).size && !others.some((n) => n.id === id)) continue // it may stand on a tab now
      nodes.splice(0, nodes.length, ...others)
      old.delete(id)
      did.removed.push(id)
      again = true
    }
  }
  for (const id of old.keys()) marks[id] = known[id]
}

module.exports = { merge }
