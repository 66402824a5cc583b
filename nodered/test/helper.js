// Function nodes, run as Node-RED runs them.
'use strict'

const fs = require('node:fs')
const path = require('node:path')

// node gives a function that is one function node with a memory of its own;
// what it keeps on disk outlives it in `disk`.
function node (file, env, disk = new Map()) {
  const body = fs.readFileSync(path.join(__dirname, '..', 'flows', file), 'utf8')
  const memory = new Map()
  const store = (name) => (name === 'disk' ? disk : memory)
  const context = { get: (k, name) => store(name).get(k), set: (k, v, name) => store(name).set(k, v) }
  const run = new Function('msg', 'context', 'env', body)
  return (msg) => run(msg, context, { get: (k) => env[k] })
}

const mqtt = (topic, payload) => ({ topic, payload: JSON.stringify(payload) })

module.exports = { mqtt, node }
