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
// It returns the nodes, what is known now, the ids that are offered, and what was
// done: {updated, added, removed, edited, deleted}, lists of ids.
function merge (mine, shipped, known) {
  const have = split(mine)
  const ship = split(shipped)
  const marks = {}
  const put = new Map() // units that are written from what is shipped
  const did = { updated: [], added: [], removed: [], edited: [], deleted: [] }

  for (const [id, nodes] of ship) {
    const print = fingerprint(nodes)
    const came = known[id] ?? []
    marks[id] = [...came.filter((p) => p !== print), print].slice(-VERSIONS)
    if (!have.has(id)) {
      if (!known[id]) put.set(id, nodes)
      did[known[id] ? 'deleted' : 'added'].push(id)
      continue
    }
    const now = fingerprint(have.get(id))
    if (now === print) continue
    if (came.includes(now)) put.set(id, nodes)
    did[came.includes(now) ? 'updated' : 'edited'].push(id)
  }
  restore(put, ship, did)

  const nodes = written(mine, put)
  retire(nodes, ship, known, marks, did)
  return { nodes, marks, did, offered: [...did.edited, ...did.deleted] }
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
      if (mentions(others, new Set([id])).size) continue
      nodes.splice(0, nodes.length, ...others)
      old.delete(id)
      did.removed.push(id)
      again = true
    }
  }
  for (const id of old.keys()) marks[id] = known[id]
}

module.exports = { merge }
