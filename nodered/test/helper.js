// Function nodes, run as Node-RED runs them.
'use strict'

const { once } = require('node:events')
const fs = require('node:fs')
const net = require('node:net')
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

// freePort is one that stays free until somebody listens: those that the system
// gives to connections, from 32768 on, may be taken meanwhile.
async function freePort () {
  for (;;) {
    const port = 26000 + Math.floor(Math.random() * 6000)
    const server = net.createServer().listen(port, '127.0.0.1')
    try {
      await once(server, 'listening')
    } catch {
      continue
    }
    server.close()
    await once(server, 'close')
    return port
  }
}

const mqtt = (topic, payload) => ({ topic, payload: JSON.stringify(payload) })

module.exports = { freePort, mqtt, node }
