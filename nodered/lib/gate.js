// Keeps everybody out who does not come through the gateway: Node-RED has no
// login, and who reaches its port from beside the gateway would command the
// hardware and run code.
'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const http = require('node:http')
const https = require('node:https')

const HEADER = 'x-dcs-gateway' // the gateway sends it, and takes it from what comes from outside
const SETTING = 'NODERED_GATEWAY_SECRET_FILE'
const REQUESTS = new Set(['request', 'checkContinue', 'checkExpectation'])
const UPGRADES = new Set(['upgrade', 'connect'])
const LOOPBACK = new Set(['127.0.0.1', '::1', '::ffff:127.0.0.1'])

// installGate closes every HTTP server that this process makes, before or after,
// if a secret is set. It is at the servers' events and not among the routes: no
// order of handlers, and no WebSocket, gets round it.
function installGate (env) {
  const secret = gateSecret(env)
  if (!secret) return
  const passes = gate(secret, env.NODERED_HTTP_ROOT || '/nodered')
  for (const { prototype } of [http.Server, https.Server]) {
    const { emit } = prototype
    prototype.emit = function (event, ...args) {
      if (REQUESTS.has(event) && !passes(args[0], false)) return refuse(...args)
      if (UPGRADES.has(event) && !passes(args[0], true)) return !!args[1].destroy()
      return emit.call(this, event, ...args)
    }
  }
}

// gateSecret reads the secret; empty when there is to be no gate.
function gateSecret (env) {
  const file = env[SETTING]
  if (!file) return ''
  let secret
  try {
    secret = fs.readFileSync(file, 'utf8').trim()
  } catch (err) {
    throw new Error(`${SETTING}: ${err.message}`)
  }
  if (!secret) throw new Error(`${SETTING}: ${file} is empty: put the secret into it that the gateway has in DCS_NODERED_SECRET_FILE`)
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new Error(`${SETTING}: ${file}: one line of letters, digits and signs, without spaces, is wanted`)
  return secret
}

// gate makes the test of a request. The container's health check needs no
// secret: it reads the first page from within, and that alone.
function gate (secret, root) {
  const wanted = digest(secret)
  const page = `/${root}/`.replace(/\/+/g, '/')
  const passed = new WeakSet() // a server may hand a request on to itself
  return (req, upgrade) => {
    if (passed.has(req)) return true
    const shown = req.headers[HEADER]
    if (shown !== undefined && crypto.timingSafeEqual(digest(shown), wanted)) {
      forget(req)
      passed.add(req)
      return true
    }
    return !upgrade && shown === undefined && req.method === 'GET' && req.url === page && LOOPBACK.has(req.socket.remoteAddress)
  }
}

// digest is of one length for all, as the comparison wants it.
const digest = (text) => crypto.createHash('sha256').update(text).digest()

// forget takes the secret out: a flow shows its requests' headers.
function forget (req) {
  delete req.headers[HEADER]
  delete req.headersDistinct[HEADER] // both are made of what is raw, once
  const raw = req.rawHeaders
  for (let i = raw.length - 2; i >= 0; i -= 2) {
    if (raw[i].toLowerCase() === HEADER) raw.splice(i, 2)
  }
}

function refuse (req, res) {
  const why = req.headers[HEADER] === undefined
    ? 'Node-RED answers the gateway alone: come through the gateway.'
    : `Node-RED has another secret than this gateway: ${SETTING} here and DCS_NODERED_SECRET_FILE there have to name the same; then restart both.`
  res.writeHead(403, { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff', Connection: 'close' })
  res.end(`${why}\n`)
  return true
}

module.exports = { gateSecret, installGate }
