// A flow file as the units that people edit: a tab or a subflow with all that
// stands on it, and each configuration node by itself.
'use strict'

const crypto = require('node:crypto')

// unitOf is the id of the unit that a node belongs to.
const unitOf = (node) => node.z || node.id

// split gives the units of a list of nodes: id -> nodes, in the file's order.
function split (nodes) {
  const units = new Map()
  for (const node of nodes) {
    const id = unitOf(node)
    if (!units.has(id)) units.set(id, [])
    units.get(id).push(node)
  }
  return units
}

// fingerprint is the same for units that say the same, whatever the order of
// their nodes and keys: the editor writes both in an order of its own.
function fingerprint (nodes) {
  const ordered = [...nodes].sort((a, b) => (a.id < b.id ? -1 : 1))
  return crypto.createHash('sha256').update(JSON.stringify(ordered, sorted)).digest('hex')
}

function sorted (_, value) {
  if (!value || typeof value !== 'object' || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

// mentions are the units that some nodes cannot do without: every text in them
// that is a unit's id, and the subflows that they are instances of.
function mentions (nodes, ids) {
  const found = new Set()
  const look = (value) => {
    if (typeof value === 'string') {
      const id = value.replace(/^subflow:/, '')
      if (ids.has(id)) found.add(id)
    } else if (value && typeof value === 'object') Object.values(value).forEach(look)
  }
  for (const { id, z, ...rest } of nodes) look(rest)
  return found
}

// title names a unit for people.
function title (id, nodes) {
  const head = nodes.find((n) => n.id === id) || { type: 'nodes' }
  return `${head.label || head.name || id} (${head.type})`
}

module.exports = { fingerprint, mentions, split, title, unitOf }
