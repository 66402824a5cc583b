'use strict'

const crypto = require('node:crypto')
const fs = require('node:fs')
const path = require('node:path')
const { read, write } = require('./files.js')

const SCHEMES = { 'tcp:': 'mqtt', 'mqtt:': 'mqtt', 'ssl:': 'mqtts', 'tls:': 'mqtts', 'mqtts:': 'mqtts', 'ws:': 'ws', 'wss:': 'wss' }
const PORTS = { mqtt: '1883', mqtts: '8883', ws: '80', wss: '443' }

// brokerEnv turns DCS_BROKER… into the variables that the flow's broker node names.
// DCS_MQTT_HOST and DCS_MQTT_PORT are there for flows of one's own.
function brokerEnv (env) {
  const given = env.DCS_BROKER || 'tcp://127.0.0.1:1883'
  let url
  try {
    url = new URL(given)
  } catch {
    throw new Error(`DCS_BROKER: not an address: ${given}`)
  }
  const scheme = SCHEMES[url.protocol]
  if (!scheme || !url.hostname) throw new Error(`DCS_BROKER: want tcp://, ssl://, ws:// or wss://, have ${given}`)
  const port = url.port || PORTS[scheme]
  const rest = scheme.startsWith('ws') ? url.pathname : ''
  return {
    DCS_MQTT_URL: `${scheme}://${url.hostname}:${port}${rest}`,
    DCS_MQTT_HOST: url.hostname,
    DCS_MQTT_PORT: port,
    DCS_MQTT_USER: env.DCS_BROKER_USER || '',
    DCS_MQTT_PASSWORD: readSecret(env, 'DCS_BROKER_PASSWORD_FILE'),
    DCS_MQTT_CA: env.DCS_BROKER_CA_FILE || ''
  }
}

// secret is what Node-RED encrypts its credentials with: given in a file, or
// made up once and kept in the user's folder.
function secret (env, userDir) {
  if (env.NODERED_CREDENTIAL_SECRET_FILE) return readSecret(env, 'NODERED_CREDENTIAL_SECRET_FILE')
  const file = path.join(userDir, '.credential-secret')
  const there = String(read(file) ?? '').trim()
  if (there) return there
  const made = crypto.randomBytes(32).toString('hex')
  write(file, made + '\n', 0o600)
  return made
}

function readSecret (env, name) {
  if (!env[name]) return ''
  try {
    return fs.readFileSync(env[name], 'utf8').trim()
  } catch (err) {
    throw new Error(`${name}: ${err.message}`)
  }
}

module.exports = { brokerEnv, secret }
